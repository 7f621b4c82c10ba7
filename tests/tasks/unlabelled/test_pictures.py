"""Which pictures a teacher labels."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pocketvision.core.errors import InputError
from pocketvision.datasets.formats.coco import read_coco
from pocketvision.datasets.records.annotations import DetectionRecords
from pocketvision.tasks.unlabelled.pictures import picture_paths, unlabelled_pictures


@pytest.fixture
def labeled(tiny: Callable[[str], Path]) -> DetectionRecords:
    return read_coco(tiny("coco"), "train")


def test_what_is_known_twice_or_broken_is_left_out_and_counted(
    labeled: DetectionRecords, tmp_path: Path
) -> None:
    new, known, broken = tmp_path / "a" / "new.jpg", tmp_path / "other_name.jpg", tmp_path / "broken.jpg"
    new.parent.mkdir()
    shutil.copyfile(labeled.image_paths[0], known)
    shutil.copyfile(labeled.image_paths[1], new)
    shutil.copyfile(new, tmp_path / "a" / "twice.jpg")
    broken.write_bytes(b"no picture")
    found = unlabelled_pictures(tmp_path, labeled, [labeled.image_paths[0], "missing.jpg"])
    assert (found.num_known, found.num_twice, found.num_unreadable) == (1, 1, 1)
    assert list(found.records.image_paths) == [str(new)]
    assert found.records.sizes.tolist() == [labeled.sizes[1].tolist()]
    assert found.records.class_names == labeled.class_names and not len(found.records.boxes)
    assert found.line() == (
        "1 unlabeled pictures; left out: 1 also in the labeled data, 1 there twice, 1 unreadable"
    )


def test_a_folder_without_new_pictures_is_refused(labeled: DetectionRecords, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no pictures"):
        picture_paths(tmp_path / "absent")
    with pytest.raises(InputError, match="no pictures"):
        picture_paths(tmp_path)
    shutil.copyfile(labeled.image_paths[0], tmp_path / "a.jpg")
    with pytest.raises(InputError, match="in the labeled data"):
        unlabelled_pictures(tmp_path, labeled, labeled.image_paths)
