"""Clean little data sets in several formats, which the tests of this folder break."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

HEIGHT, WIDTH = 48, 64
NAMES = ("cat", "dog")
BOXES = ((4, 6, 24, 30), (30, 10, 60, 44))
"""xyxy pixels of the two boxes of every image, a cat and a dog."""


def picture(seed: int) -> np.ndarray:
    """A smooth random picture (H, W, 3), unlike those of other seeds."""
    small = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(small, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC))


def save(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture(seed)).save(path)


def _coco(root: Path, count: int) -> None:
    for split, start in (("train", 0), ("val", count)):
        images, annotations = [], []
        for i in range(start, start + count):
            save(root / split / f"{i}.jpg", i)
            images.append({"id": i + 1, "file_name": f"{i}.jpg", "height": HEIGHT, "width": WIDTH})
            for category, (x1, y1, x2, y2) in enumerate(BOXES, start=1):
                box, area = [x1, y1, x2 - x1, y2 - y1], (x2 - x1) * (y2 - y1)
                row = {"id": len(annotations) + 1, "image_id": i + 1, "category_id": category}
                annotations.append({**row, "bbox": box, "area": area, "iscrowd": 0})
        categories = [{"id": i, "name": name} for i, name in enumerate(NAMES, start=1)]
        content = {"images": images, "annotations": annotations, "categories": categories}
        (root / f"instances_{split}.json").write_text(json.dumps(content))


def voc_object(name: str, box: tuple[Any, ...]) -> str:
    sides = "".join(f"<{k}>{v}</{k}>" for k, v in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True))
    return f"<object><name>{name}</name><bndbox>{sides}</bndbox></object>"


def voc_xml(objects: str, width: int = WIDTH, height: int = HEIGHT) -> str:
    size = f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size>"
    return f"<annotation><filename>lies.png</filename>{size}{objects}</annotation>"


def _voc(root: Path, count: int) -> None:
    lists = root / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (root / "Annotations").mkdir()
    objects = "".join(voc_object(n, (b[0] + 1, b[1] + 1, *b[2:])) for n, b in zip(NAMES, BOXES, strict=True))
    for split, start in (("train", 0), ("val", count)):
        (lists / f"{split}.txt").write_text("".join(f"im{i}\n" for i in range(start, start + count)))
        for i in range(start, start + count):
            save(root / "JPEGImages" / f"im{i}.jpg", i)
            (root / "Annotations" / f"im{i}.xml").write_text(voc_xml(objects))


def _yolo(root: Path, count: int) -> None:
    lines = ""
    for label, (x1, y1, x2, y2) in enumerate(BOXES):
        center = (x1 + x2) / 2 / WIDTH, (y1 + y2) / 2 / HEIGHT
        lines += f"{label} {center[0]:.8f} {center[1]:.8f} {(x2 - x1) / WIDTH:.8f} {(y2 - y1) / HEIGHT:.8f}\n"
    for split, start in (("train", 0), ("val", count)):
        (root / "labels" / split).mkdir(parents=True)
        for i in range(start, start + count):
            save(root / "images" / split / f"{i}.jpg", i)
            (root / "labels" / split / f"{i}.txt").write_text(lines)
    (root / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [cat, dog]\n")


def _csv(root: Path, count: int) -> None:
    for split, start in (("train", 0), ("val", count)):
        rows = ["image,xmin,ymin,xmax,ymax,label"]
        for i in range(start, start + count):
            save(root / "images" / f"{i}.jpg", i)
            rows += [f"{i}.jpg,{','.join(map(str, b))},{n}" for n, b in zip(NAMES, BOXES, strict=True)]
        (root / f"{split}.csv").write_text("\n".join(rows) + "\n")


def mask(seed: int, classes: int = 3) -> np.ndarray:
    """Blocks of class ids (H, W) with a border of 255."""
    ids = np.random.default_rng(seed).integers(0, classes, (6, 8), dtype=np.uint8)
    ids.ravel()[:classes] = np.arange(classes)
    values = np.kron(ids, np.ones((8, 8), dtype=np.uint8))
    values[-3:] = 255
    return values


def _masks(root: Path, count: int) -> None:
    for split, start in (("train", 0), ("val", count)):
        for i in range(start, start + count):
            save(root / split / "images" / f"{i}.jpg", i)
            (root / split / "masks").mkdir(exist_ok=True)
            Image.fromarray(mask(i)).save(root / split / "masks" / f"{i}.png")
    (root / "classes.txt").write_text("sky\nroad\ncar\n")


def _cityscapes(root: Path, count: int) -> None:
    for split, start in (("train", 0), ("val", count)):
        for i in range(start, start + count):
            stem = f"{split}/aachen/aachen_{i:06}_000019"
            save(root / "leftImg8bit" / f"{stem}_leftImg8bit.png", i)
            file = root / "gtFine" / f"{stem}_gtFine_labelIds.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.resize(np.arange(34, dtype=np.uint8), (HEIGHT, WIDTH))).save(file)


def _image_folder(root: Path, count: int) -> None:
    for split, start in (("train", 0), ("val", count)):
        for i in range(start, start + count):
            save(root / split / NAMES[i % 2] / f"{i}.jpg", i)


_WRITERS: dict[str, Callable[[Path, int], None]] = {
    "coco": _coco,
    "voc": _voc,
    "yolo": _yolo,
    "csv": _csv,
    "mask_folder": _masks,
    "cityscapes": _cityscapes,
    "image_folder": _image_folder,
}


@pytest.fixture
def clean(tmp_path: Path) -> Callable[..., Path]:
    """``clean(format, count)`` writes a clean set with ``count`` images in each of train and val."""

    def build(name: str, count: int = 4) -> Path:
        root = tmp_path / name
        root.mkdir()
        _WRITERS[name](root, count)
        return root

    return build


@pytest.fixture
def edit_json() -> Callable[[Path, Callable[[dict[str, Any]], None]], None]:
    """``edit_json(file, change)`` lets ``change`` edit the content of a JSON file."""

    def edit(file: Path, change: Callable[[dict[str, Any]], None]) -> None:
        content = json.loads(file.read_text())
        change(content)
        file.write_text(json.dumps(content))

    return edit


@pytest.fixture(name="voc_object")
def voc_object_fixture() -> Callable[..., str]:
    return voc_object


@pytest.fixture(name="voc_xml")
def voc_xml_fixture() -> Callable[..., str]:
    return voc_xml


@pytest.fixture(name="picture")
def picture_fixture() -> Callable[[int], np.ndarray]:
    return picture


@pytest.fixture(name="mask")
def mask_fixture() -> Callable[..., np.ndarray]:
    return mask
