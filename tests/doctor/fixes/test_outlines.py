"""Outlines of a COCO set go into the cleaned copy where they fit its boxes, and are counted where not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from pocketvision.datasets import detect_format
from pocketvision.doctor.check import Plan, examine
from pocketvision.doctor.fixes.copy import write_fixed


def test_outlines_of_turned_pictures_are_left_out_and_counted(
    clean: Callable[..., Path], tmp_path: Path
) -> None:
    root = clean("coco", 3)
    file = root / "instances_train.json"
    content = json.loads(file.read_text())
    for row in content["annotations"]:
        x, y, w, h = row["bbox"]
        row["segmentation"] = [[x, y, x + w, y, x + w, y + h, x, y + h]]
    file.write_text(json.dumps(content))
    turned = next(image for image in content["images"] if image["file_name"] == "0.jpg")
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(root / "train" / "0.jpg") as picture:
        picture.save(root / "train" / "0.jpg", exif=exif)
    lines = write_fixed(examine(detect_format(root), Plan()), tmp_path / "copy")
    assert "train: 2 outlines of images that were turned or resized are left out" in lines
    written = json.loads((tmp_path / "copy" / "instances_train.json").read_text())
    own = {image["id"] for image in written["images"] if Path(image["file_name"]).stem == "0"}
    assert len(own) == 1 and turned["height"] < turned["width"]
    for row in written["annotations"]:
        assert bool(row.get("segmentation")) == (row["image_id"] not in own)
