"""Shapes of labeling tools as polygons, and which objects of what tools state can be used."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvision.datasets.readers.stated import Polygon, StatedBox, StatedImage, StatedMask, StatedObject
from pocketvision.datasets.readers.values import as_number, short_text
from pocketvision.datasets.records.kinds import BOX_NOT_NUMBER, CLASS_UNKNOWN, SHAPE_UNUSED
from pocketvision.datasets.records.notes import Notes

_FARTHEST = 1 << 28
_CORNERS = 48
"""Of the polygon for an ellipse: a multiple of four, so that it reaches as far."""


def numbers(values: Sequence[Any]) -> list[float] | None:
    """Finite numbers; None where one is none."""
    found = [as_number(value) for value in values]
    known = [value for value in found if value is not None and math.isfinite(value)]
    return known if len(known) == len(found) else None


def pairs(values: Any) -> Polygon | None:
    """Corners from ``[[x, y], ...]``; None where they are none."""
    if not isinstance(values, list) or not all(isinstance(p, list) and len(p) == 2 for p in values):
        return None
    flat = numbers([side for point in values for side in point])
    return None if flat is None else list(zip(flat[::2], flat[1::2], strict=True))


def ellipse(x: float, y: float, radius_x: float, radius_y: float, angle: float = 0.0) -> Polygon:
    """Corners of an ellipse around (x, y), turned by ``angle`` radians."""
    cosine, sine = math.cos(angle), math.sin(angle)
    turns = [2 * math.pi * i / _CORNERS for i in range(_CORNERS)]
    points = [(radius_x * math.cos(turn), radius_y * math.sin(turn)) for turn in turns]
    return [(x + a * cosine - b * sine, y + a * sine + b * cosine) for a, b in points]


def mask_at(left: float, top: float, pixels: npt.NDArray[np.bool_]) -> StatedMask | None:
    """Pixels at a place; None where no image can reach it."""
    return StatedMask(int(left), int(top), pixels) if max(abs(left), abs(top)) < _FARTHEST else None


def add_object(
    image: StatedImage,
    where: str,
    label: Any,
    shape: StatedBox | StatedMask | Polygon | None,
    notes: Notes,
    *,
    kind: str = "",
) -> None:
    """Add a box (left, top, right, bottom), pixels or a polygon to an image, or tell why it can't be used.

    ``shape`` is an empty polygon for what has no area, whose ``kind`` is told; None means that its numbers
    are broken.
    """
    place = f"{image.file}, {where}"
    if shape is None:
        sentence = f"{place} has text or nothing where the numbers of its shape belong: draw it again."
        notes.add(BOX_NOT_NUMBER, image.file, sentence, where)
    elif isinstance(shape, list) and len(shape) < 3:
        what = short_text(kind) or "shape without area"
        sentence = f"{place} is a {what}, which is neither a box nor a polygon: draw it as one, or remove it."
        notes.add(SHAPE_UNUSED, image.file, sentence, where)
    elif not isinstance(label, str) or not label.strip():
        notes.add(CLASS_UNKNOWN, image.file, f"{place} has no class: give it a label.", where)
    elif isinstance(shape, StatedMask):
        image.objects.append(StatedObject(label.strip(), where, shape.bounds(), mask=shape))
    elif isinstance(shape, tuple):
        image.objects.append(StatedObject(label.strip(), where, shape))
    else:
        image.objects.append(StatedObject(label.strip(), where, outlines=(shape,)))
