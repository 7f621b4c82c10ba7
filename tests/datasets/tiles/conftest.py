"""Large pictures with small bright boxes on black, as COCO."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

Large = Callable[..., Path]


@pytest.fixture
def large(tmp_path: Path) -> Large:
    """Writes pictures of the given sizes with boxes (left, top, right, bottom) of the class "car"."""

    def write(
        *pictures: tuple[tuple[int, int], list[tuple[int, int, int, int]]], name: str = "large"
    ) -> Path:
        root = tmp_path / name
        images, annotations = [], []
        for split in ("train", "val"):
            (root / f"{split}2017").mkdir(parents=True)
        for number, ((height, width), boxes) in enumerate(pictures):
            pixels = np.zeros((height, width, 3), np.uint8)
            file = f"{number}.png"
            images.append({"id": 10 + number, "file_name": file, "height": height, "width": width})
            for left, top, right, bottom in boxes:
                pixels[top:bottom, left:right] = 255
                annotations.append(
                    {
                        "id": len(annotations) + 1, "image_id": 10 + number, "category_id": 7, "iscrowd": 0,
                        "bbox": [left, top, right - left, bottom - top],
                        "area": (right - left) * (bottom - top),
                    }
                )  # fmt: skip
            for split in ("train", "val"):
                cv2.imwrite(str(root / f"{split}2017" / file), pixels)
        content = {
            "images": images, "annotations": annotations, "categories": [{"id": 7, "name": "car"}],
        }  # fmt: skip
        (root / "annotations").mkdir()
        for split in ("train", "val"):
            (root / "annotations" / f"instances_{split}2017.json").write_text(json.dumps(content))
        return root

    return write
