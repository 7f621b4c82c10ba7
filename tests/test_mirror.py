"""Every file with code has its test: ``tests/ROOM/test_FILE.py``, or one whose first line names it.

Such a line reads ``Covers heads/ssd.py, core/boxes.py.`` and may go on in the next; ``configs/*.py`` stands
for a folder whose files are all found and tested alike.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def sources() -> list[str]:
    """Files of the package that define a function or a class."""
    files = (file for package in ROOT.glob("*/__init__.py") for file in package.parent.rglob("*.py"))
    return sorted(file.relative_to(ROOT).as_posix() for file in files if _has_code(file))


def _has_code(file: Path) -> bool:
    body = ast.parse(file.read_text(encoding="utf-8")).body
    return any(isinstance(node, (ast.FunctionDef, ast.ClassDef)) for node in body)


def covered_by() -> dict[str, list[str]]:
    """Test file, from tests/ on -> the sources that it mirrors or names."""
    files = sorted((ROOT / "tests").rglob("test_*.py"))
    found = {file.relative_to(ROOT / "tests"): named(file.read_text(encoding="utf-8")) for file in files}
    mirrored = {file: file.with_name(file.name.removeprefix("test_")) for file in found}
    return {
        file.as_posix(): [*names, *([mirrored[file].as_posix()] if (ROOT / mirrored[file]).is_file() else [])]
        for file, names in found.items()
    }


def named(text: str) -> list[str]:
    """The files in the sentence ``Covers ...`` that begins a docstring."""
    found = re.match(r'"""Covers ((?:[\w/*]+\.py(?:,\s+|))+)[.:]', text)
    return re.split(r",\s+", found[1]) if found else []


def test_the_sentence_is_read() -> None:
    assert named('"""Covers a/b.py, c.py,\nd/*.py.\n\nMore of x.py.\n"""') == ["a/b.py", "c.py", "d/*.py"]
    assert named('"""Covers a/b.py: what it does."""') == ["a/b.py"]
    assert named('"""What a/b.py covers."""') == []


def test_every_file_with_code_has_a_test() -> None:
    covered = {place for places in covered_by().values() for place in places}
    folders = {place.removesuffix("/*.py") for place in covered if place.endswith("/*.py")}
    bare = [file for file in sources() if file not in covered and file.rpartition("/")[0] not in folders]
    assert not bare, "without a test: add tests/ROOM/test_FILE.py, or name the file in a test's first line"


@pytest.mark.parametrize("folder", sorted(path.name for path in (ROOT / "tests").iterdir() if path.is_dir()))
def test_every_test_says_what_it_tests(folder: str) -> None:
    own = {file: places for file, places in covered_by().items() if file.startswith(f"{folder}/")}
    assert not [file for file, places in own.items() if not places], "mirrors no file and names none"


def test_named_files_are_there() -> None:
    gone = {
        file: [place for place in places if not list(ROOT.glob(place))]
        for file, places in covered_by().items()
    }
    assert not {file: places for file, places in gone.items() if places}
