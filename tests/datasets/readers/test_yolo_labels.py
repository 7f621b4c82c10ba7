"""Label files of YOLO sets, wherever tools put them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pocketvision.datasets.readers.tree import FileTree
from pocketvision.datasets.readers.yolo_labels import expected_label, find_labels
from pocketvision.datasets.readers.yolo_layouts import YoloLayout
from pocketvision.datasets.records.notes import Notes


def labels(root: Path, image: str, notes: Notes) -> dict[Path, Path]:
    layout = YoloLayout(root / "classes.txt", root, ("cat",), {"all": (root,)})
    return find_labels([root / image], "all", layout, FileTree(root), notes)


@pytest.mark.parametrize(
    ("image", "label", "is_told"),
    [
        ("images/train/a.png", "labels/train/a.txt", False),
        ("Images/a.png", "Labels/a.TXT", False),
        ("images/a.png", "images/a.txt", False),
        ("train/a.png", "train/a.txt", False),
        ("images/a.png", "labels/a.png.txt", False),
        ("images/train/a.png", "labels/train_labels/a.txt", True),
        ("images/a.png", "annotations/9f31-a.txt", True),
    ],
)
def test_a_label_is_found(tmp_path: Path, image: str, label: str, is_told: bool) -> None:
    for name in (image, label, "classes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    notes = Notes()
    assert labels(tmp_path, image, notes) == {tmp_path / image: tmp_path / label}
    assert bool(notes.counts) == is_told


def test_two_that_could_be_meant_are_none(tmp_path: Path) -> None:
    for name in ("images/a.png", "one/a.txt", "two/a.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "labels").mkdir()
    assert labels(tmp_path, "images/a.png", Notes()) == {}
    expected = expected_label(tmp_path / "images" / "a.png", FileTree(tmp_path))
    assert expected == tmp_path / "labels" / "a.txt"
