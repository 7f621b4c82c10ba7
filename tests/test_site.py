"""The site builds without a warning, has every page, and what is generated for it is in it."""

from __future__ import annotations

import html
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import pocketvision
from pocketvision.__main__ import COMMANDS

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site; ``strict`` in mkdocs.yml makes warnings errors."""
    for package in ("mkdocs", "material", "mkdocstrings"):
        pytest.importorskip(package, reason="the extra docs")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def words_of(page: Path) -> str:
    """The text of a page, as a reader sees it."""
    return html.unescape(re.sub(r"<[^>]+>", "", page.read_text(encoding="utf-8")))


def test_every_page_is_in_the_navigation(site: Path) -> None:
    index = (site / "index.html").read_text(encoding="utf-8")
    pages = [path.relative_to(ROOT / "docs").with_suffix("") for path in (ROOT / "docs").rglob("*.md")]
    assert len(pages) > 20
    links = {"." if str(page) == "index" else f"{page.as_posix()}/" for page in pages}
    assert links <= set(re.findall(r'href="([^"]+)"', index))


def test_commands_and_functions_are_those_of_this_version(site: Path) -> None:
    commands = words_of(site / "reference" / "commands" / "index.html")
    assert all(f"usage: pocketvision {name} " in commands for name in COMMANDS)
    assert "--print-config" in commands
    api = words_of(site / "reference" / "api" / "index.html")
    functions = [name for name in pocketvision.__all__ if name[0].islower() and name[0] != "_"]
    assert all(re.search(rf"\b{name}\(", api) for name in functions) and ":func:" not in api
    parts = words_of(site / "reference" / "parts" / "index.html")
    assert all(f"{name}(" in parts for name in ("mobilenet_v2", "SSDLiteHead", "SSDLoss", "Detector"))
    assert "width_mult: float" in parts
    assert "[Unreleased]" in words_of(site / "release_notes" / "index.html")


def test_a_visitor_fetches_nothing_from_others(site: Path) -> None:
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(r'<(?:script|img|link|iframe)[^>]*?(?:src|href)="(https?://[^"]+)"', text)
        assert not loaded, page
