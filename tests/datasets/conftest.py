"""Tiny data sets that the tests of this folder write and then spoil."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """A smooth random image (H, W, 3) that JPEG keeps well."""
    small = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


def write(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)


@pytest.fixture
def write_image() -> Callable[..., None]:
    """``write_image(path, height, width, seed)`` writes a random picture."""
    return lambda path, height=40, width=60, seed=0: write(path, picture(height, width, seed))


@pytest.fixture
def write_mask() -> Callable[[Path, np.ndarray], None]:
    """``write_mask(path, values)`` writes a single-channel PNG."""
    return write


@pytest.fixture
def coco(tmp_path: Path) -> Callable[..., Path]:
    """``coco(change)`` writes a COCO data set of four 40x60 images whose JSON ``change`` may edit first."""

    def build(change: Callable[[dict[str, Any]], Any] | None = None, split: str = "train") -> Path:
        content = {
            "images": [
                {"id": 10 * i, "file_name": f"{i}.jpg", "height": 40, "width": 60} for i in (3, 1, 2, 4)
            ],
            "categories": [{"id": 7, "name": "cat"}, {"id": 2, "name": "dog"}, {"id": 90, "name": "owl"}],
            "annotations": [
                {
                    "id": 1,
                    "image_id": 10,
                    "category_id": 7,
                    "bbox": [5, 6, 20, 10],
                    "area": 150.0,
                    "iscrowd": 0,
                },
                {
                    "id": 2,
                    "image_id": 30,
                    "category_id": 2,
                    "bbox": [0, 0, 60, 40],
                    "area": 900.0,
                    "iscrowd": 1,
                },
                {
                    "id": 3,
                    "image_id": 10,
                    "category_id": 90,
                    "bbox": [30.5, 20, 10, 10],
                    "area": 80,
                    "iscrowd": 0,
                },
                {
                    "id": 4,
                    "image_id": 20,
                    "category_id": 2,
                    "bbox": [10, 10, 12, 12],
                    "area": 99.5,
                    "iscrowd": 0,
                },
            ],
        }
        for i in range(1, 5):
            write(tmp_path / split / f"{i}.jpg", picture(40, 60, i))
        if change is not None:
            change(content)
        (tmp_path / f"instances_{split}.json").write_text(json.dumps(content))
        return tmp_path

    return build


XML = (
    "<annotation><filename>lies.png</filename>"
    "<size><width>60</width><height>40</height></size>{}</annotation>"
)
OBJECT = (
    "<object><name>{}</name><difficult>{}</difficult><bndbox>"
    "<xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox></object>"
)


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    """A VOC data set: train a, b (a background image), val c."""
    root = tmp_path / "voc"
    objects = {
        "a": OBJECT.format("dog", 0, 1, 1, 60, 40) + OBJECT.format("cat", 1, 11, 6, 20, 15),
        "b": "",
        "c": OBJECT.format("owl", 0, 2, 3, 30, 20),
    }
    for i, (stem, text) in enumerate(objects.items()):
        write(root / "JPEGImages" / (f"{stem}.png" if stem == "b" else f"{stem}.jpg"), picture(40, 60, i))
        (root / "Annotations").mkdir(exist_ok=True)
        (root / "Annotations" / f"{stem}.xml").write_text(XML.format(text))
    (root / "ImageSets" / "Main").mkdir(parents=True)
    (root / "ImageSets" / "Main" / "train.txt").write_text("a\nb\n\n")
    (root / "ImageSets" / "Main" / "val.txt").write_text("c\n")
    return root


@pytest.fixture
def masks(tmp_path: Path) -> Path:
    """A mask folder of three 40x60 images a split with classes 0, 1, 2 and 9 for ignored."""
    root = tmp_path / "masks"
    for split in ("train", "val"):
        for i in range(3):
            write(root / split / "images" / f"{i}.jpg", picture(40, 60, i))
            mask = np.full((40, 60), i, dtype=np.uint8)
            mask[:5], mask[-5:] = 9, 255
            write(root / split / "masks" / f"{i}.png", mask)
    (root / "classes.txt").write_text("sky\nroad\ncar\n")
    return root


@pytest.fixture
def shared_data() -> Path:
    """The folder of real data sets, or skip."""
    beside = Path(__file__).resolve().parents[3] / "shared"
    path = Path(os.environ.get("POCKETVISION_SHARED", beside)) / "data"
    if not path.is_dir():
        pytest.skip(f"no real data: {path} does not exist (set POCKETVISION_SHARED)")
    return path
