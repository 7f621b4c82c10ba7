"""COCO annotations -> arrays, checked all at once where the file is clean, else one by one."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvision.datasets.coco.entries import MISSING, EntryId, plain_id, short
from pocketvision.datasets.coco.json_file import CocoJson
from pocketvision.datasets.readers.assemble import BoxArrays, FoundBoxes
from pocketvision.datasets.readers.values import as_flag, as_number
from pocketvision.datasets.records.kinds import (
    ANNOTATION_INCOMPLETE,
    AREA_UNUSABLE,
    BOX_FROM_OUTLINE,
    BOX_NOT_FINITE,
    BOX_NOT_NUMBER,
    BOX_WITHOUT_IMAGE,
    CLASS_UNKNOWN,
    TEXT_NUMBER,
)
from pocketvision.datasets.records.notes import Notes

_NUMBERS = {int, float}


@dataclass(frozen=True)
class RowTables:
    """What ids of a file mean: the index of an image, the label of a category."""

    file: Path
    owners: dict[EntryId, int]
    label_of: dict[EntryId, int]
    image_paths: list[str]


def read_annotations(
    rows: list[Any], tables: RowTables, notes: Notes, with_outlines: Callable[[], list[Any]]
) -> tuple[BoxArrays, bool]:
    """Boxes of ``rows``, and whether all of them were as the format has them.

    ``with_outlines`` gives the rows again, with their segmentation.
    """
    arrays = _all_at_once(rows, tables.owners, tables.label_of)
    if arrays is not None:
        return arrays, True
    reader = _OneByOne(rows, tables, notes, with_outlines)
    return reader.read(), reader.is_plain


def place_of_row(rows: list[Any], number: int) -> str:
    """How a sentence names an annotation."""
    own = plain_id(rows[number].get("id")) if isinstance(rows[number], dict) else None
    return f"annotation number {number + 1}" if own is None else f"annotation {own}"


def _all_at_once(
    rows: list[CocoJson], owners: dict[EntryId, int], label_of: dict[EntryId, int]
) -> BoxArrays | None:
    """None if anything is not as usual, even if it is right."""
    try:
        image_ids = [row["image_id"] for row in rows]
        category_ids = [row["category_id"] for row in rows]
        boxes = [row["bbox"] for row in rows]
        sides = list(chain.from_iterable(boxes))
        areas = [row.get("area") for row in rows]
        crowd = [row.get("iscrowd", 0) for row in rows]
    except (KeyError, TypeError, AttributeError):
        return None
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
    is_difficult = np.zeros(len(rows), dtype=np.bool_)
    return BoxArrays(owner, xyxy, label, is_crowd, is_difficult, area, np.arange(len(rows)))


def _types(values: Iterable[Any]) -> set[type]:
    return set(map(type, values))


class _OneByOne:
    """What can be read without doubt is read, each thing that can't is told."""

    def __init__(
        self, rows: list[Any], tables: RowTables, notes: Notes, with_outlines: Callable[[], list[Any]]
    ) -> None:
        self.rows, self.tables, self.notes, self.with_outlines = rows, tables, notes, with_outlines
        self.found = FoundBoxes()
        self.outlined: list[Any] | None = None
        self.is_plain = True

    def read(self) -> BoxArrays:
        for number, row in enumerate(self.rows):
            if not isinstance(row, dict):
                self._tell(ANNOTATION_INCOMPLETE, number, f"is {short(row)}; remove it.")
                continue
            owner, label = self._owner(row, number), self._label(row, number)
            box = None if owner == MISSING else self._box(row, number)
            if owner is not None and owner >= 0 and label is not None and box is not None:
                stated = row.get("iscrowd")
                crowd = as_flag(stated)
                ids = (type(row.get("image_id")), type(row.get("category_id")))
                self.is_plain &= ids == (int, int) and not isinstance(stated, str)
                area = self._area(row, number)
                self.found.add(owner, box, label, crowd=crowd, area=area, row=number)
        return self.found.arrays()

    def _owner(self, row: CocoJson, number: int) -> int | None:
        own = plain_id(row.get("image_id"))
        owner = None if own is None else self.tables.owners.get(own)
        if owner is None:
            stated = short(row.get("image_id"))
            what = f"no image has its image id {stated}; add the image, or remove the annotation."
            self._tell(BOX_WITHOUT_IMAGE, number, what)
        return owner

    def _label(self, row: CocoJson, number: int) -> int | None:
        own = plain_id(row.get("category_id"))
        label = None if own is None else self.tables.label_of.get(own)
        if label is None:
            stated = short(row.get("category_id"))
            what = f"no category has its category id {stated}; add it to 'categories', or correct it."
            self._tell(CLASS_UNKNOWN, number, what, row)
        return label

    def _box(self, row: CocoJson, number: int) -> tuple[float, float, float, float] | None:
        stated = row.get("bbox")
        values = [as_number(side) for side in stated] if isinstance(stated, list) else []
        numbers = [value for value in values if value is not None]
        if len(values) != 4 or len(numbers) != 4:
            around = None if stated else self._around(number)
            if around is not None:
                self._tell(
                    BOX_FROM_OUTLINE, number, "it has no bbox, and the one around its outline is read.", row
                )
                return around
            what = f"its bbox {short(stated)} is not four finite numbers (x, y, width, height); correct it."
            self._tell(BOX_NOT_NUMBER, number, what, row)
            return None
        x, y, width, height = numbers
        if not all(map(math.isfinite, (*numbers, x + width, y + height))):
            what = f"its bbox {short(stated)} is not four finite numbers (x, y, width, height); correct it."
            self._tell(BOX_NOT_FINITE, number, what, row)
            return None
        if any(isinstance(side, str) for side in stated or ()):
            self._tell(TEXT_NUMBER, number, f"its bbox {short(stated)} is text; write numbers.", row)
        return x, y, x + width, y + height

    def _around(self, number: int) -> tuple[float, float, float, float] | None:
        """The box around the polygons of a row that has no bbox."""
        if self.outlined is None:
            self.outlined = self.with_outlines()
        row = self.outlined[number] if number < len(self.outlined) else None
        parts = row.get("segmentation") if isinstance(row, dict) else None
        points = [as_number(value) for value in _flat(parts)]
        known = [value for value in points if value is not None and math.isfinite(value)]
        if len(known) < 6 or len(known) < len(points) or len(known) % 2:
            return None
        return min(known[::2]), min(known[1::2]), max(known[::2]), max(known[1::2])

    def _area(self, row: CocoJson, number: int) -> float | None:
        stated = row.get("area")
        area = as_number(stated)
        if stated is not None and (area is None or not math.isfinite(area)):
            self._tell(
                AREA_UNUSABLE, number, f"its area {short(stated)} is not a finite number; correct it.", row
            )
            return None
        return area

    def _tell(self, kind: Any, number: int, what: str, row: CocoJson | None = None) -> None:
        self.is_plain = False
        where, file = place_of_row(self.rows, number), self.tables.file
        own = plain_id(row.get("image_id")) if row is not None else None
        owner = self.tables.owners.get(own, MISSING) if own is not None else MISSING
        image = self.tables.image_paths[owner] if owner >= 0 else None
        self.notes.add(kind, file, f"{file}, {where}: {what}", where, image)


def _flat(parts: Any) -> list[Any]:
    if not isinstance(parts, list):
        return []
    return [value for part in parts for value in (part if isinstance(part, list) else [part])]
