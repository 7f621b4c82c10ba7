"""SSD's zoom-out and min-IoU crop (arXiv:1512.02325, sec. 2.2 and 3.6), vectorised over the trials."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from pocketvision.core.structures import Size
from pocketvision.datasets.images import Array
from pocketvision.datasets.records import Boxes, Labels

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
    ``min_side`` are tried; where none holds a box's centre and overlaps such a box by that IoU, it is
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
    """Whether the centre of each box (G, 4) lies in each window (T, 4): (T, G)."""
    centers = (boxes[:, :2] + boxes[:, 2:]) / 2
    inside = (centers > windows[:, None, :2]) & (centers < windows[:, None, 2:])
    return np.asarray(inside.all(axis=-1), dtype=np.bool_)


def cut(image: Array, window: Windows, fill: tuple[int, int, int]) -> Array:
    """The pixels of ``window`` (4,), with ``fill`` where it reaches beyond the image (H, W, 3)."""
    height, width = image.shape[:2]
    left, top, right, bottom = (int(side) for side in window)
    inner = image[max(top, 0) : min(bottom, height), max(left, 0) : min(right, width)]
    pads = max(-top, 0), max(bottom - height, 0), max(-left, 0), max(right - width, 0)
    if not any(pads):
        return inner
    return np.asarray(cv2.copyMakeBorder(inner, *pads, cv2.BORDER_CONSTANT, value=fill), dtype=np.uint8)


def clean_boxes(boxes: Boxes, labels: Labels, size: Size) -> tuple[Boxes, Labels]:
    """Clip boxes (G, 4) to an image of ``size`` and drop those with a side below one pixel."""
    height, width = size
    clipped = np.clip(boxes, 0, np.array([width, height, width, height], dtype=np.float32))
    keep = (clipped[:, 2:] - clipped[:, :2] >= 1).all(axis=1)
    return clipped[keep].astype(np.float32, copy=False), labels[keep]


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
    low = np.maximum(windows[:, None, :2], boxes[:, :2])
    high = np.minimum(windows[:, None, 2:], boxes[:, 2:])
    overlap = np.clip(high - low, 0, None).prod(axis=-1)
    window_areas = (windows[:, 2:] - windows[:, :2]).prod(axis=-1)
    box_areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=-1)
    iou: npt.NDArray[np.float64] = overlap / (window_areas[:, None] + box_areas - overlap)
    return iou
