"""Names of images as annotations state them, and the files that they mean."""

from __future__ import annotations

from pathlib import Path

import pytest

from pocketvision.datasets.readers.image_finder import ImageFinder
from pocketvision.datasets.readers.tree import FileTree
from pocketvision.datasets.records.notes import Notes


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("images/a.jpg", "images/day 1/b.PNG", "images/day2/c.png", "other/c.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("a.jpg", "images/a.jpg"),
        ("A.JPG", "images/a.jpg"),
        ("/home/me/set/images/a.jpg", "images/a.jpg"),
        ("C:\\set\\images\\a.jpg", "images/a.jpg"),
        ("day%201/b.png", "images/day 1/b.PNG"),
        ("day2/c.png", "images/day2/c.png"),
        ("../x/other/c.png", "other/c.png"),
    ],
)
@pytest.mark.parametrize("folder", [None, "images"])
def test_the_end_of_a_path_says_which(root: Path, name: str, file: str, folder: str | None) -> None:
    notes = Notes()
    finder = ImageFinder(FileTree(root), [] if folder is None else [root / folder], "all", notes)
    assert finder.find(name, root / "x.json") == root / file
    assert bool(notes.counts) == (folder is None or str(root / folder / name) != str(root / file))


def test_what_is_not_found_or_could_be_two(root: Path) -> None:
    finder = ImageFinder(FileTree(root), [root / "images"], "all", Notes())
    for name in ("gone.jpg", "c.png", "", "..", "a" * 9999, "\0.jpg"):
        assert finder.find(name, root / "x.json") is None
    assert finder.notes.counts == {}


@pytest.mark.parametrize(
    "name", ["{}/images/../../out.jpg", "/..{}/../out.jpg", "../../out.jpg", "x/../../../out.jpg"]
)
def test_dots_lead_nowhere_outside(root: Path, name: str) -> None:
    (root.parent / "out.jpg").touch()
    folder = root / "images" / "day 1"
    finder = ImageFinder(FileTree(folder), [folder], "all", Notes())
    assert finder.find(name.format(root), root / "x.json") is None
    assert finder.find(f"{root}/images/a.jpg", root / "x.json") == root / "images" / "a.jpg", (
        "an absolute path"
    )


def test_pictures_of_other_splits_are_left_alone(root: Path) -> None:
    (root / "val").mkdir()
    (root / "val" / "only.jpg").touch()
    tree, notes = FileTree(root), Notes()
    assert ImageFinder(tree, [root], "train", notes).find("x/only.jpg", root / "x.json") is None
    found = ImageFinder(tree, [root], "val", notes).find("x/only.jpg", root / "x.json")
    assert found == root / "val" / "only.jpg"
