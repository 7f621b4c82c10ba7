"""COCO's polygons and run lengths as masks of classes, drawn once into the cache folder.

Class 0 is ``background``; the others are the categories by id. Where objects overlap, the smaller is on
top; crowds are ignored, below all objects. Format: https://cocodataset.org/#format-data
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from pocketvision.core.errors import InputError
from pocketvision.core.files import write_json
from pocketvision.core.structures import IGNORE_INDEX
from pocketvision.datasets.coco.boxes import read_coco
from pocketvision.datasets.coco.json_file import load_coco
from pocketvision.datasets.coco.repair import repair
from pocketvision.datasets.coco.run_lengths import RunLengths, area, decode, run_lengths
from pocketvision.datasets.masks.cache import cached_masks, mask_folder_of
from pocketvision.datasets.readers.folders import list_names
from pocketvision.datasets.records.annotations import UNEXPECTED, DetectionRecords, Mask, SegmentationRecords

BACKGROUND = "background"
_MAX_PIXELS = 1 << 28


def read_coco_segmentation(root: str | Path, split: str) -> SegmentationRecords:
    """Read a COCO split as masks (H, W) uint8; files and classes as :func:`read_coco`.

    The first time all masks are drawn; later the PNGs are found in the cache.

    Raises:
        InputError: a file is missing, an entry is wrong or no annotation has a mask.
    """
    records = read_coco(root, split)
    assert records.annotation_file is not None
    names = tuple(name for name in records.class_names if name not in (None, BACKGROUND))
    if len(names) + 1 > UNEXPECTED:
        raise InputError(f"{root} has {len(names)} classes: masks can have {UNEXPECTED - 1} at most.")
    folder = mask_folder_of("coco_2", Path(records.annotation_file), records.sizes.tolist())
    masks = [f"{image_id}.png" for image_id in records.image_ids.tolist()]
    note_file = folder / "notes.json"
    if not {*masks, note_file.name} <= list_names(folder):
        write_json(note_file, _draw(records, names, folder))
    lookup = np.full(256, UNEXPECTED, dtype=np.uint8)
    lookup[: len(names) + 1] = np.arange(len(names) + 1)
    lookup[IGNORE_INDEX] = IGNORE_INDEX
    return SegmentationRecords(
        image_paths=records.image_paths,
        mask_paths=[str(folder / name) for name in masks],
        image_ids=records.image_ids,
        class_names=(BACKGROUND, *names),
        lookup=lookup,
        notes=tuple(orjson.loads(note_file.read_bytes())),
    )


def _draw(records: DetectionRecords, names: tuple[str | None, ...], folder: Path) -> list[str]:
    """Write the masks of all images; returns the notes about annotations without mask."""
    file = Path(str(records.annotation_file))
    values = {
        category: names.index(name) + 1 if name in names else 0
        for category, name in zip(records.category_ids, records.class_names, strict=True)
    }
    rows: dict[int, list[dict[str, Any]]] = defaultdict(list)
    content = load_coco(file)
    repaired = repair(content, file)
    annotations = content["annotations"]
    for row in annotations:
        rows[row["image_id"]].append(row)
    without = [row for row in annotations if not row.get("segmentation")]
    if len(without) == len(annotations):
        raise InputError(f"{file} has boxes but no masks ('segmentation'): use it for detection.")
    ids, sizes = records.image_ids.tolist(), records.sizes.tolist()

    def make(index: int) -> Mask:
        height, width = sizes[index]
        if height * width > _MAX_PIXELS:
            raise InputError(
                f"{file}, image {ids[index]}: its size {width}x{height} is a mistake; correct it."
            )
        return _mask(rows[ids[index]], (height, width), values, file)

    cached_masks(folder, [str(image_id) for image_id in ids], make)
    if not without:
        return list(repaired)
    first = without[0].get("id", "without id")
    return [
        *repaired,
        f"{len(without)} annotations have no mask and are left out (first: {file}, annotation {first}).",
    ]


def _mask(rows: list[dict[str, Any]], size: tuple[int, int], values: dict[int, int], file: Path) -> Mask:
    objects: list[tuple[int, RunLengths]] = []
    for row in rows:
        if row.get("segmentation"):
            place = f"{file}, annotation {row.get('id', 'without id')}"
            value = IGNORE_INDEX if row.get("iscrowd") else values[row["category_id"]]
            objects.append((value, run_lengths(row["segmentation"], size, place)))
    # Crowds first, then from large to small; equal areas in the order of the file.
    objects.sort(key=lambda item: (item[0] != IGNORE_INDEX, -area(item[1])))
    mask = np.zeros(size, dtype=np.uint8)
    for value, runs in objects:
        mask[decode(runs, size)] = value
    return mask
