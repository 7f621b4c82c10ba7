"""What is packed and what editors find: the links, the mapping, the templates, the readme, the Pythons."""

from __future__ import annotations

import ast
import re
import runpy
from pathlib import Path
from typing import Any

import pytest
import yaml

from pocketvision.__main__ import COMMANDS

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


def test_ci_runs_the_oldest_and_the_newest_python_that_is_declared() -> None:
    declared = re.findall(r'"Programming Language :: Python :: (3\.\d+)"', PROJECT)
    oldest = re.search(r'^requires-python = ">=(3\.\d+)"$', PROJECT, re.MULTILINE)
    assert oldest is not None and declared[0] == oldest[1]
    job = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"]["test"]
    pythons = job["strategy"]["matrix"]["python"]
    assert declared[0] == pythons[0] and declared[-1] == pythons[-1] and set(pythons) <= set(declared)
    assert job["env"]["UV_PYTHON"] == "${{ matrix.python }}" and job["steps"][-1]["run"] == "bash .ci/run"
    assert f"for version in {declared[0]} {declared[-1]}; do" in (ROOT / ".ci" / "run").read_text()


def test_every_file_is_of_the_oldest_python() -> None:
    oldest = (3, int(re.findall(r">=3\.(\d+)", PROJECT)[0]))
    for package in ROOT.glob("*/__init__.py"):
        for file in package.parent.rglob("*.py"):
            ast.parse(file.read_text(encoding="utf-8"), str(file), feature_version=oldest)


@pytest.mark.parametrize("page", ["README.md", "docs/**/*.md"])
def test_pages_name_commands_that_an_install_has(page: str) -> None:
    """A wheel has no tools/: the one line that names them says that they are in a clone."""
    for file in ROOT.glob(page):
        text = file.read_text(encoding="utf-8").replace("`uv run tools/X.py ...` is the same", "")
        assert not re.search(r"(?<!tests/)tools/", text), file
        named = set(re.findall(r"\bpocketvision ([a-z][a-z-]+)", text)) - {"import"}  # from Python
        assert named <= set(COMMANDS), file


def test_the_citation_and_the_issue_forms_are_of_this_version() -> None:
    from pocketvision import __version__

    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["cff-version"] == "1.2.0" and citation["version"] == __version__
    assert citation["license"] == "Apache-2.0" and citation["authors"] and citation["message"]
    forms = [yaml.safe_load(file.read_text()) for file in (ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml")]
    assert len(forms) == 2
    for form in forms:
        fields = [field["id"] for field in form["body"]]
        assert form["name"] and form["description"] and len(set(fields)) == len(fields)
        assert all(field["attributes"]["label"] for field in form["body"])


def test_the_image_s_build_copies_what_an_install_needs() -> None:
    """There may be no Docker to build it with: names and folders are those of this repository."""
    text = (ROOT / "Dockerfile").read_text()
    ignored = (ROOT / ".dockerignore").read_text().split()
    needed = {*mapping().values(), "pyproject.toml", "setup.py", "README.md", "LICENSE"}
    assert not needed & {*ignored} and all((ROOT / name).exists() for name in needed)
    extras = re.search(r"^ARG EXTRAS=(.+)$", text, re.MULTILINE)
    assert extras is not None
    assert all(re.search(rf"^{extra} = \[", PROJECT, re.MULTILINE) for extra in extras[1].split(","))
    assert 'ENTRYPOINT ["pocketvision"]' in text and re.search(r"^USER user$", text, re.MULTILINE)
    oldest = re.findall(r">=3\.(\d+)", PROJECT)[0]
    python = re.search(r"^ARG PYTHON=3\.(\d+)$", text, re.MULTILINE)
    assert python is not None and int(python[1]) >= int(oldest)
