"""What is packed and what editors find: the links, the mapping, the templates, the readme of the wheel."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
LINKS = ROOT / "src" / "pocketvision"
PROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def mapping() -> dict[str, str]:
    """Package -> folder, as pyproject.toml says."""
    table = PROJECT.partition("[tool.setuptools.package-dir]\n")[2].partition("\n\n")[0]
    return {name.strip('"'): folder for name, folder in re.findall(r'^(\S+) = "(\S+)"$', table, re.MULTILINE)}


@pytest.mark.skipif(not (LINKS / "core").is_symlink(), reason="a checkout without links")
def test_editors_see_the_folders_that_are_installed() -> None:
    folders = dict(mapping())
    api = ROOT / folders.pop("pocketvision")
    expected = {name.removeprefix("pocketvision."): ROOT / folder for name, folder in folders.items()}
    expected |= {file.name: file for file in api.iterdir() if file.is_file()}
    found = {link.name: link for link in LINKS.iterdir() if link.name != "__pycache__"}
    assert {name: link.resolve() for name, link in found.items()} == expected, "add or remove links in src/"
    assert not [name for name, link in found.items() if link.readlink().is_absolute()]


def test_every_package_is_listed() -> None:
    listed = re.findall(r'^    "(pocketvision[\w.]*)",$', PROJECT, re.MULTILINE)
    folders = mapping()
    found = {
        ".".join([name, *file.parent.relative_to(ROOT / folder).parts])
        for name, folder in folders.items()
        for file in (ROOT / folder).rglob("__init__.py")
    }
    assert sorted(listed) == listed and set(listed) == found


def test_every_template_is_packed() -> None:
    table = PROJECT.partition("[tool.setuptools.package-data]\n")[2].partition("\n\n")[0]
    rows = re.findall(r'^"pocketvision\.([\w.]+)" = \["(.+)"\]$', table, re.MULTILINE)
    packed = {file for room, pattern in rows for file in (ROOT / room.replace(".", "/")).glob(pattern)}
    pages = {file for folder in mapping().values() for file in (ROOT / folder).rglob("*.html")}
    assert pages and pages <= packed


def test_the_readme_of_the_wheel_stands_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A package index has neither the pictures nor the files beside a readme."""
    setuptools = pytest.importorskip("setuptools")
    given: dict[str, Any] = {}
    monkeypatch.setattr(setuptools, "setup", lambda **options: given.update(options))
    runpy.run_path(str(ROOT / "setup.py"))
    text = given["long_description"]
    assert text.startswith("# pocketvision\n") and "](docs/" not in text and "![" not in text
    assert "`docs/results.md`" in text and "docs/results.md (" not in text
