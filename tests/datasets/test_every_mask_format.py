"""Covers datasets/masks/class_table.py, datasets/masks/drawn.py, datasets/masks/layouts.py,
datasets/masks/pairs.py.

One tiny segmentation data set, written by hand in every format: all readers give the same masks.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from pocketvision.core.resize import Resize
from pocketvision.datasets import SegmentationDataset, SegmentationRecords, detect_format
from pocketvision.datasets.format_modules import MaskFolderDataModule

Mask = np.ndarray[Any, np.dtype[np.uint8]]
HEIGHT, WIDTH = 48, 64
NAMES = ("background", "aeroplane", "bicycle")
COLORS = ((0, 0, 0), (128, 0, 0), (0, 130, 255))
# (value, x1, y1, x2, y2), painted in this order: a void region, then from large to small.
REGIONS = {
    "a.jpg": ((255, 40, 0, 64, 10), (1, 0, 0, 50, 40), (2, 10, 10, 20, 20)),
    "b ü 漢.png": ((1, 63, 47, 64, 48),),
    "c.jpg": (),
    "d.png": ((2, 0, 0, 64, 48), (1, 5, 0, 6, 48)),
}
SPLITS = {"train": ("a.jpg", "b ü 漢.png", "c.jpg"), "val": ("d.png",)}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("POCKETVISION_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def mask_of(name: str) -> Mask:
    mask = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    for value, x1, y1, x2, y2 in REGIONS[name]:
        mask[y1:y2, x1:x2] = value
    return mask


def write_image(folder: Path, name: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    small = np.random.default_rng(len(name)).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    _, data = cv2.imencode(Path(name).suffix, cv2.resize(small, (WIDTH, HEIGHT)))
    (folder / name).write_bytes(data.tobytes())


def save(pixels: Mask, folder: Path, name: str, palette: bool = False) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels)
    if palette:
        image.putpalette([value for color in COLORS for value in color] + [255] * (256 - 3) * 3)
    image.save(folder / f"{Path(name).stem}.png")


def write_masks(root: Path, images: str, masks: str, convert: Callable[[Mask], Mask] = np.array) -> None:
    for split, names in SPLITS.items():
        for name in names:
            write_image(root / images.format(split), name)
            save(convert(mask_of(name)), root / masks.format(split), name)


def write_index(root: Path) -> None:
    write_masks(root, "{}/images", "{}/masks")
    (root / "classes.txt").write_text("\n".join(NAMES))


def write_palette(root: Path) -> None:
    for split, names in {"training": SPLITS["train"], "validation": SPLITS["val"]}.items():
        for name in names:
            write_image(root / "images" / split, name)
            save(mask_of(name), root / "masks" / split, name, palette=True)
    (root / "classes.txt").write_text("\n".join(NAMES))


def write_lists(root: Path) -> None:
    write_masks(root, "images", "masks")
    for (split, names), form in zip(SPLITS.items(), ("{}", "images/{}"), strict=True):
        lines = [form.format(name) if split == "val" else Path(name).stem for name in names]
        (root / f"{split}.txt").write_text("\n".join(lines), encoding="utf-8")
    (root / "classes.txt").write_text("\n".join(NAMES))


def _colored(mask: Mask) -> Mask:
    table = np.zeros((256, 3), dtype=np.uint8)
    table[:3], table[255] = COLORS, (255, 255, 255)
    return table[mask]


def write_colors(root: Path) -> None:
    write_masks(root, "{}/images", "{}/masks", _colored)
    rows = zip((*NAMES, "void"), (*COLORS, (255, 255, 255)), strict=True)
    (root / "classes.csv").write_text("name,r,g,b\n" + "".join(f"{n},{r},{g},{b}\n" for n, (r, g, b) in rows))


def write_wide(root: Path) -> None:
    write_masks(root, "{}/images", "{}/masks", lambda mask: mask.astype(np.uint16))
    (root / "classes.txt").write_text("\n".join(NAMES))


def write_voc(root: Path) -> None:
    write_masks(root, "JPEGImages", "SegmentationClass")
    (root / "ImageSets" / "Segmentation").mkdir(parents=True)
    for split, names in SPLITS.items():
        lines = "\n".join(Path(name).stem for name in names)
        (root / "ImageSets" / "Segmentation" / f"{split}.txt").write_text(lines, encoding="utf-8")


def _polygon(box: tuple[int, ...]) -> Any:
    x1, y1, x2, y2 = box
    return [[x1, y1, x2, y1, x2, y2, x1, y2]]


def _counts(box: tuple[int, ...]) -> Any:
    x1, y1, x2, y2 = box
    inside = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    inside[y1:y2, x1:x2] = 1
    flat = np.concatenate(([0], inside.ravel(order="F"), [2]))
    edges = np.flatnonzero(np.diff(flat))
    counts = np.diff(np.concatenate(([0], edges)))
    return {"size": [HEIGHT, WIDTH], "counts": counts.tolist()}


def _text(box: tuple[int, ...]) -> Any:
    from pycocotools import mask as masks

    x1, y1, x2, y2 = box
    inside = np.zeros((HEIGHT, WIDTH), dtype=np.uint8, order="F")
    inside[y1:y2, x1:x2] = 1
    return {"size": [HEIGHT, WIDTH], "counts": masks.encode(inside)["counts"].decode()}


def coco_writer(segmentation: Callable[[tuple[int, ...]], Any]) -> Callable[[Path], None]:
    def write(root: Path) -> None:
        for split, names in SPLITS.items():
            images, rows = [], []
            for image_id, name in enumerate(names, start=1):
                write_image(root / split, name)
                images.append({"id": image_id, "file_name": name, "height": HEIGHT, "width": WIDTH})
                for value, *box in reversed(REGIONS[name]):
                    row = {"id": len(rows) + 1, "image_id": image_id, "iscrowd": int(value == 255)}
                    row |= {"category_id": 7 if value == 2 else 3, "segmentation": segmentation(tuple(box))}
                    rows.append({**row, "bbox": [0, 0, 9, 9]})
            categories = [{"id": 7, "name": NAMES[2]}, {"id": 3, "name": NAMES[1]}]
            content = {"images": images, "annotations": rows, "categories": categories}
            (root / f"instances_{split}.json").write_text(json.dumps(content))

    return write


FORMATS: dict[str, tuple[str, Callable[[Path], None]]] = {
    "indices": ("mask_folder", write_index),
    "palette": ("mask_folder", write_palette),
    "lists": ("mask_folder", write_lists),
    "colors": ("mask_folder", write_colors),
    "16 bit": ("mask_folder", write_wide),
    "voc": ("voc_masks", write_voc),
    "coco polygons": ("coco_masks", coco_writer(_polygon)),
    "coco run lengths": ("coco_masks", coco_writer(_counts)),
    "coco run lengths as text": ("coco_masks", coco_writer(_text)),
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_reader_gives_the_same_masks(name: str, tmp_path: Path) -> None:
    form, write = FORMATS[name]
    root = tmp_path / "my data é"
    root.mkdir()
    write(root)
    found = detect_format(root, "segmentation")
    assert (found.format, set(found.splits)) == (form, set(SPLITS))
    for split, names in SPLITS.items():
        records = found.read(split)
        assert isinstance(records, SegmentationRecords)
        dataset = SegmentationDataset(records.select(NAMES), Resize((HEIGHT, WIDTH)))
        masks = {Path(records.image_paths[i]).name: dataset[i][1].mask.numpy() for i in range(len(records))}
        assert masks.keys() == set(names)
        for image in names:
            assert np.array_equal(masks[image], mask_of(image)), image


def test_two_values_are_two_classes(tmp_path: Path) -> None:
    def binary(mask: Mask) -> Mask:
        return np.where(mask == 1, 255, 0).astype(np.uint8)

    write_masks(tmp_path, "{}/images", "{}/masks", binary)
    found = detect_format(tmp_path)
    assert (
        found.arguments["class_names"] == ["background", "foreground"] and found.arguments["binary"] is True
    )
    (tmp_path / "classes.txt").write_text("nothing\nthing\n")
    for data in (MaskFolderDataModule(**found.arguments), MaskFolderDataModule(tmp_path)):
        dataset = SegmentationDataset(data.records("train"), Resize((HEIGHT, WIDTH)))
        assert np.array_equal(dataset[0][1].mask.numpy(), binary(mask_of("a.jpg")) == 255)
    assert (SegmentationDataset(data.records("val"), Resize((HEIGHT, WIDTH)))[0][1].mask == 0).any()


def test_two_classes_with_void_stay_indices(tmp_path: Path) -> None:
    write_masks(tmp_path, "{}/images", "{}/masks", lambda mask: np.where(mask == 2, 1, mask).astype(np.uint8))
    (tmp_path / "classes.txt").write_text("nothing\nthing\n")
    mask = SegmentationDataset(MaskFolderDataModule(tmp_path).records("train"), Resize((48, 64)))[0][1].mask
    assert set(mask.unique().tolist()) == {0, 1, 255}
