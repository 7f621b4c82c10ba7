"""COCO annotations -> arrays, checked all at once where the file is clean, else one by one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from itertools import chain
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
import numpy.typing as npt

from pocketvision.core.errors import InputError
from pocketvision.datasets.coco.json_file import CocoJson
from pocketvision.datasets.readers.assemble import BoxArrays, FoundBoxes

_NUMBERS = {int, float}


def read_annotations(
    rows: list[CocoJson], owners: dict[int, int], label_of: dict[int, int], file: Path
) -> BoxArrays:
    """Boxes of ``rows``; image id -> index and category id -> label.

    Raises:
        InputError: an annotation is wrong; the first one is named.
    """
    arrays = _all_at_once(rows, owners, label_of)
    return _one_by_one(rows, owners, label_of, file).arrays() if arrays is None else arrays


def is_id(value: Any) -> TypeGuard[int]:
    """Whether ``value`` is an integer that an array can hold."""
    return isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63


def _all_at_once(rows: list[CocoJson], owners: dict[int, int], label_of: dict[int, int]) -> BoxArrays | None:
    """None if anything is not as usual, even if it is right."""
    try:
        image_ids = [row["image_id"] for row in rows]
        category_ids = [row["category_id"] for row in rows]
        boxes = [row["bbox"] for row in rows]
        sides = list(chain.from_iterable(boxes))
    except (KeyError, TypeError):
        return None
    areas = [row.get("area") for row in rows]
    crowd = [row.get("iscrowd", 0) for row in rows]
    kinds = (boxes, {list}), (sides, _NUMBERS), (areas, _NUMBERS), (image_ids, {int}), (category_ids, {int})
    if not all(_types(values) <= allowed for values, allowed in (*kinds, (crowd, {int, bool}))):
        return None
    if not set(map(len, boxes)) <= {4}:
        return None
    owner = np.array([owners.get(image_id, -1) for image_id in image_ids], dtype=np.int64)
    label = np.array([label_of.get(category_id, -1) for category_id in category_ids], dtype=np.int64)
    try:
        xywh = np.array(sides, dtype=np.float64).reshape(-1, 4)
        area = np.array(areas, dtype=np.float64)
    except OverflowError:
        return None
    if (owner < 0).any() or (label < 0).any() or not (np.isfinite(xywh).all() and np.isfinite(area).all()):
        return None
    xyxy = np.concatenate((xywh[:, :2], xywh[:, :2] + xywh[:, 2:]), axis=1)
    is_crowd: npt.NDArray[np.bool_] = np.array(crowd, dtype=np.bool_)
    return BoxArrays(owner, xyxy, label, is_crowd, np.zeros(len(rows), dtype=np.bool_), area)


def _types(values: Iterable[Any]) -> set[type]:
    return set(map(type, values))


def _one_by_one(
    rows: list[CocoJson], owners: dict[int, int], label_of: dict[int, int], file: Path
) -> FoundBoxes:
    found = FoundBoxes()
    for i, row in enumerate(rows):
        box, area = row.get("bbox"), row.get("area")
        owner, label = _of(owners, row.get("image_id")), _of(label_of, row.get("category_id"))
        if owner is None or label is None or not _is_box(box) or not (area is None or _is_number(area)):
            raise InputError(f"{file}, annotation {row.get('id', f'number {i}')}: {_why(row, owner, label)}")
        x, y, width, height = box
        found.owners.append(owner)
        found.boxes.append((x, y, x + width, y + height))
        found.labels.append(label)
        found.crowd.append(bool(row.get("iscrowd", 0)))
        found.difficult.append(False)
        found.areas.append(area)
    return found


def _of(table: Mapping[Any, int], key: Any) -> int | None:
    return table.get(key) if isinstance(key, (int, float)) else None


def _why(row: CocoJson, owner: int | None, label: int | None) -> str:
    if owner is None:
        return f"no image has its image id {row.get('image_id')}; add the image, or remove the annotation."
    if label is None:
        return (
            f"no category has its category id {row.get('category_id')}; "
            "add it to 'categories', or correct the annotation."
        )
    if _is_box(row.get("bbox")):
        return f"its area {row['area']} is not a finite number; correct it, or leave it out."
    return f"its bbox {row.get('bbox')} is not four finite numbers (x, y, width, height); correct it."


def _is_number(value: Any) -> bool:
    try:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # an integer beyond every float
        return False


def _is_box(value: Any) -> TypeGuard[list[float]]:
    return isinstance(value, list) and len(value) == 4 and all(_is_number(side) for side in value)
