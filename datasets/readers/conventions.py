"""How four numbers make a box: each format's convention, and those that it is mistaken for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

StatedBoxes = npt.NDArray[np.float64]
"""(B, 4)."""

Sizes = npt.NDArray[np.float64]
"""(B, 2): height and width of each box's image, NaN where unknown."""


@dataclass(frozen=True)
class BoxConvention:
    """``decode`` turns stated numbers into xyxy pixels, ``encode`` the other way, both given the sizes."""

    text: str
    decode: Callable[[StatedBoxes, Sizes], StatedBoxes]
    encode: Callable[[StatedBoxes, Sizes], StatedBoxes]
    mistaken_for: tuple[str, ...] = ()


def _scale(sizes: Sizes) -> StatedBoxes:
    return np.concatenate((sizes[:, ::-1], sizes[:, ::-1]), axis=1)


def _from_xywh(boxes: StatedBoxes) -> StatedBoxes:
    return np.concatenate((boxes[:, :2], boxes[:, :2] + boxes[:, 2:]), axis=1)


def _to_xywh(boxes: StatedBoxes) -> StatedBoxes:
    return np.concatenate((boxes[:, :2], boxes[:, 2:] - boxes[:, :2]), axis=1)


def _from_center(boxes: StatedBoxes) -> StatedBoxes:
    return np.concatenate((boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2), axis=1)


def _to_center(boxes: StatedBoxes) -> StatedBoxes:
    return np.concatenate(((boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]), axis=1)


_FIRST_PIXEL = np.array([1.0, 1.0, 0.0, 0.0])

CONVENTIONS: dict[str, BoxConvention] = {
    "xyxy": BoxConvention(
        "corners (xmin, ymin, xmax, ymax)",
        lambda boxes, _: boxes,
        lambda boxes, _: boxes,
        ("xywh", "relative_xyxy", "yolo"),
    ),
    "voc": BoxConvention(
        "corners (xmin, ymin, xmax, ymax) counted from 1",
        lambda boxes, _: boxes - _FIRST_PIXEL,
        lambda boxes, _: boxes + _FIRST_PIXEL,
        ("xywh",),
    ),
    "xywh": BoxConvention(
        "corner and size (x, y, width, height)",
        lambda boxes, _: _from_xywh(boxes),
        lambda boxes, _: _to_xywh(boxes),
        ("xyxy", "relative_xywh", "yolo"),
    ),
    "yolo": BoxConvention(
        "center and size as shares of the image",
        lambda boxes, sizes: _from_center(boxes) * _scale(sizes),
        lambda boxes, sizes: _to_center(boxes / _scale(sizes)),
        ("relative_xyxy", "relative_xywh", "pixel_center", "xyxy", "xywh"),
    ),
    "relative_xyxy": BoxConvention(
        "corners as shares of the image",
        lambda boxes, sizes: boxes * _scale(sizes),
        lambda boxes, sizes: boxes / _scale(sizes),
    ),
    "relative_xywh": BoxConvention(
        "corner and size as shares of the image",
        lambda boxes, sizes: _from_xywh(boxes) * _scale(sizes),
        lambda boxes, sizes: _to_xywh(boxes / _scale(sizes)),
    ),
    "pixel_center": BoxConvention(
        "center and size in pixels", lambda boxes, _: _from_center(boxes), lambda boxes, _: _to_center(boxes)
    ),
}

_MIN_BOXES = 4
_MOST, _FEW = 0.9, 0.8
_TOLERANCE = 1.5


def guess_convention(boxes: StatedBoxes, sizes: Sizes, stated: str) -> str:
    """The convention that most of the boxes of a file follow: ``stated``, unless few lie inside by it.

    ``boxes`` are xyxy pixels by the stated one. Another one is believed if by it at least 90 % of the boxes
    are ordered and inside their images, and by the stated one less than 80 %.
    """
    known = np.isfinite(boxes).all(axis=1) & np.isfinite(sizes).all(axis=1)
    if not known.all():
        boxes, sizes = boxes[known], sizes[known]
    if len(boxes) < _MIN_BOXES or _share_inside(boxes, sizes) >= _FEW:
        return stated
    values = CONVENTIONS[stated].encode(boxes, sizes)
    shares = {
        name: _share_inside(CONVENTIONS[name].decode(values, sizes), sizes)
        for name in CONVENTIONS[stated].mistaken_for
    }
    best = max(shares, key=lambda name: shares[name], default=stated)
    return best if shares.get(best, 0.0) >= _MOST else stated


def _share_inside(boxes: StatedBoxes, sizes: Sizes) -> float:
    limits = _scale(sizes) + _TOLERANCE
    inside = (boxes >= -_TOLERANCE).all(axis=1) & (boxes <= limits).all(axis=1)
    # More than a pixel: shares taken for pixels would all lie in the first one.
    return float((inside & (boxes[:, 2:] - boxes[:, :2] > 1).all(axis=1)).mean())
