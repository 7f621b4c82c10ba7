"""SSD's zoom-out and min-IoU crop (arXiv:1512.02325, sec. 2.2 and 3.6), vectorized over the trials."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pocketvision.core.structures import Size
from pocketvision.datasets.records.annotations import Boxes, Labels

Windows = npt.NDArray[np.float64]
"""(T, 4) xyxy pixels."""


_MAX_DRAWS = 50
"""Bounds the search for a crop where none is possible, as in very long images."""


def expand_window(size: Size, ratio: tuple[float, float], rng: np.random.Generator) -> Windows:
    """A window (4,) with ``ratio`` times the image's sides and the image somewhere inside."""
    height, width = size
    scale = rng.uniform(*ratio)
    left, top = -rng.random(2) * (scale - 1) * (width, height)
    return np.round(np.array([left, top, left + scale * width, top + scale * height]))


def jitter_window(size: Size, factor: tuple[float, float], rng: np.random.Generator) -> Windows:
    """A window (4,) that shows an image enlarged by a number in ``factor``, or shrunk, somewhere inside."""
    image = np.array([size[1], size[0]], dtype=np.float64)
    sides = image / rng.uniform(*factor)
    top_left = rng.random(2) * (image - sides)
    return np.concatenate((top_left, top_left + sides))


def crop_window(
    boxes: Boxes,
    window: Windows,
    *,
    probability: float,
    min_ious: tuple[float, ...],
    min_side: float,
    max_aspect_ratio: float,
    trials: int,
    rng: np.random.Generator,
) -> Windows:
    """A random window (4,) inside ``window`` (4,) that keeps enough of some box of ``boxes`` (G, 4).

    With ``probability`` one of ``min_ious`` is drawn and ``trials`` windows with sides of at least
    ``min_side`` are tried; where none holds a box's center and overlaps such a box by that IoU, it is
    drawn again. Otherwise, and for an image without boxes, ``window`` itself is returned.
    """
    if not len(boxes):
        return window
    for _ in range(_MAX_DRAWS):
        if rng.random() >= probability:
            break
        min_iou = min_ious[rng.integers(len(min_ious))]
        windows = _draw(window, min_side, max_aspect_ratio, trials, rng)
        inside = centers_inside(boxes, windows)
        valid = (inside & (_iou(windows, boxes) >= min_iou)).any(axis=1)
        if valid.any():
            chosen: Windows = windows[np.argmax(valid)]
            return chosen
    return window


def centers_inside(boxes: Boxes, windows: Windows) -> npt.NDArray[np.bool_]:
    """Whether the center of each box (G, 4) lies in each window (T, 4): (T, G)."""
    x, y = (boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2
    left, top, right, bottom = windows.T[:, :, None]
    inside: npt.NDArray[np.bool_] = (x > left) & (x < right) & (y > top) & (y < bottom)
    return inside


def boxes_in(boxes: Boxes, labels: Labels, window: Sequence[float]) -> tuple[Boxes, Labels]:
    """Boxes (G, 4) whose center is in ``window`` (4,), uncut, if they show a pixel of each side there."""
    chosen = centers_inside(boxes, np.array([window]))[0]
    chosen &= _shown(_cut(boxes, window))
    return boxes[chosen], labels[chosen]


def clean_boxes(boxes: Boxes, labels: Labels, size: Size) -> tuple[Boxes, Labels]:
    """Clip boxes (G, 4) to an image of ``size`` and drop those with a side below one pixel."""
    cut = _cut(boxes, (0, 0, size[1], size[0]))
    keep = _shown(cut)
    return cut[keep].astype(np.float32, copy=False), labels[keep]


def _cut(boxes: Boxes, window: Sequence[float]) -> Boxes:
    left, top, right, bottom = window
    low = np.array([left, top, left, top], dtype=np.float32)
    high = np.array([right, bottom, right, bottom], dtype=np.float32)
    cut: Boxes = np.minimum(np.maximum(boxes, low), high)
    return cut


def _shown(boxes: Boxes) -> npt.NDArray[np.bool_]:
    """Which boxes (G, 4) have sides of at least one pixel."""
    return np.asarray((boxes[:, 2:] - boxes[:, :2] >= 1).all(axis=1), dtype=np.bool_)


def _draw(
    window: Windows, min_side: float, max_aspect_ratio: float, trials: int, rng: np.random.Generator
) -> Windows:
    """Windows (T, 4) with whole coordinates; T < trials, as those of extreme aspect ratio are dropped."""
    size = window[2:] - window[:2]
    scale = rng.uniform(min_side, 1.0, (trials, 2))
    top_left = window[:2] + rng.random((trials, 2)) * (1 - scale) * size
    log_ratio = np.abs(np.log(scale[:, 0] * size[0]) - np.log(scale[:, 1] * size[1]))
    windows = np.concatenate((np.floor(top_left), np.floor(top_left + scale * size)), axis=1)
    fits = (log_ratio <= math.log(max_aspect_ratio)) & (windows[:, 2:] > windows[:, :2]).all(axis=1)
    fitting: Windows = windows[fits]
    return fitting


def _iou(windows: Windows, boxes: Boxes) -> npt.NDArray[np.float64]:
    """Of each window (T, 4) with each box (G, 4): (T, G)."""
    left, top, right, bottom = windows.T[:, :, None]
    x1, y1, x2, y2 = boxes.T.astype(np.float64)
    width = np.maximum(np.minimum(right, x2) - np.maximum(left, x1), 0)
    height = np.maximum(np.minimum(bottom, y2) - np.maximum(top, y1), 0)
    overlap = width * height
    union = (right - left) * (bottom - top) + (x2 - x1) * (y2 - y1) - overlap
    iou: npt.NDArray[np.float64] = overlap / union
    return iou
