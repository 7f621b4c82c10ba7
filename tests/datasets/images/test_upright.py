"""Covers datasets/images/picture.py."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pocketvision.core.errors import InputError
from pocketvision.core.resize import Resize
from pocketvision.datasets import DetectionDataset, read_coco
from pocketvision.datasets.images import upright
from pocketvision.datasets.images.picture import PictureFile

STORED, BOX = (48, 64), (8, 4, 24, 12)


def write_coco(root: Path, orientation: int, stated: tuple[int, int]) -> None:
    """A bright object in a dark picture, which EXIF turns, and its box in what is stored."""
    (root / "train").mkdir(parents=True)
    values = np.zeros((*STORED, 3), np.uint8)
    left, top, right, bottom = BOX
    values[top:bottom, left:right] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    for name, own in (("a.png", exif), ("b.png", Image.Exif())):
        Image.fromarray(values).save(root / "train" / name, exif=own)
    sizes = {"a.png": stated, "b.png": STORED}
    images = [
        {"id": i, "file_name": name, "height": size[0], "width": size[1]}
        for i, (name, size) in enumerate(sizes.items())
    ]
    boxes = [
        {"id": i, "image_id": i, "category_id": 1, "bbox": [left, top, right - left, bottom - top]}
        for i in range(2)
    ]
    content = {"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "light"}]}
    (root / "instances_train.json").write_text(json.dumps(content))


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_boxes_of_the_stored_size_are_turned(orientation: int, tmp_path: Path) -> None:
    write_coco(tmp_path, orientation, STORED)
    records = read_coco(tmp_path, "train")
    assert records.sizes.tolist() == [[64, 48], [48, 64]]
    assert len(records.notes) == 1
    assert "1 image is turned by EXIF" in str(records.notes[0]) and "a.png" in str(records.notes[0])
    for index, size in enumerate(((64, 48), (48, 64))):
        image, target = DetectionDataset(records, Resize(size))[index]
        left, top, right, bottom = target.boxes[0].int().tolist()
        inside = image[:, top:bottom, left:right]
        assert (inside == 255).all() and int((image == 255).sum()) == inside.numel() == 3 * 16 * 8


def test_boxes_of_the_upright_size_stay(tmp_path: Path) -> None:
    write_coco(tmp_path, 6, STORED[::-1])
    records = read_coco(tmp_path, "train")
    assert records.sizes.tolist() == [[64, 48], [48, 64]] and not records.notes
    assert records.boxes[0].tolist() == list(BOX)


def test_of_many_images_a_sample_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_coco(tmp_path, 6, STORED)
    paths = [
        str(tmp_path / "train" / name) for name in ("b.png", "a.png", "b.png", "gone.png", "a.png", "a.png")
    ]
    owners = np.arange(6)
    monkeypatch.setattr(upright, "_MANY", 5)
    for looked_at, expected in ((3, [1, 4, 5]), (2, []), (6, [1, 4, 5])):
        monkeypatch.setattr(upright, "_LOOKED_AT", looked_at)
        sizes, boxes = np.tile(np.array([STORED], np.int32), (6, 1)), np.tile(np.array([BOX], float), (6, 1))
        assert upright.turn_stored(paths, sizes, owners, boxes) == expected
        assert (boxes[[0, 2, 3]] == BOX).all()
    with pytest.raises(InputError, match=r"a\.png is 48x64 pixels, but its annotation says 64x48"):
        PictureFile(paths[1], STORED).read()
