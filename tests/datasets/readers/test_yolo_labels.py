"""Label files of YOLO sets, wherever tools put them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pocketvision.datasets.readers.counted import Counted
from pocketvision.datasets.readers.yolo_labels import label_files


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
    done = Counted()
    assert label_files([tmp_path / image], tmp_path, done) == [tmp_path / label]
    assert bool(done) == is_told


def test_two_that_could_be_meant_are_none(tmp_path: Path) -> None:
    for name in ("images/a.png", "one/a.txt", "two/a.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "labels").mkdir()
    assert label_files([tmp_path / "images" / "a.png"], tmp_path) == [tmp_path / "labels" / "a.txt"]
