"""Results of overlapping tiles: how they become the image's."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvision.core.structures import ArrayDetections, Size, Window

_EDGE = 0.01
"""A box that ends within this share of a tile from its edge may be cut off there."""
_MOSTLY = 0.7
_Floats = npt.NDArray[np.floating[Any]]
_Places = npt.NDArray[np.int64]
_Truths = npt.NDArray[np.bool_]


def merge_detections(
    parts: Sequence[ArrayDetections],
    windows: Sequence[Window],
    image_size: Size,
    iou_threshold: float,
) -> ArrayDetections:
    """Detections in pixels of their windows -> all those of the image, best first.

    NMS within each class lets whole boxes go before those that their windows cut off, and larger cut ones
    before smaller: a cut view is never kept in place of a fuller one, which takes the better score of the
    two. Then a cut box is dropped where it lies mostly within a larger one of its class: the IoU of a part
    with the whole is too low for NMS.
    """
    moved = [
        part.boxes + np.array([window.left, window.top] * 2, dtype=part.boxes.dtype)
        for part, window in zip(parts, windows, strict=True)
    ]
    boxes = np.concatenate(moved)
    scores, labels = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("scores", "labels")
    )
    is_cut = np.concatenate(
        [_touches_inner_edge(found, window, image_size) for found, window in zip(moved, windows, strict=True)]
    )
    kept = _suppress(boxes.astype(np.float64), labels, _order(boxes, scores, is_cut), iou_threshold)
    kept = kept[~(is_cut[kept] & _is_part(boxes[kept], labels[kept]))]
    best = np.maximum(scores[kept], _best_cut_view(boxes, scores, labels, is_cut, kept, iou_threshold))
    order = np.argsort(-best, kind="stable")
    return ArrayDetections(boxes[kept[order]], best[order], labels[kept[order]])


def _areas(boxes: _Floats) -> _Floats:
    areas: _Floats = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    return areas


def _shared(some: _Floats, others: _Floats) -> _Floats:
    """The areas (...) that boxes (..., 4) have in common."""
    sides = np.minimum(some[..., 2:], others[..., 2:]) - np.maximum(some[..., :2], others[..., :2])
    areas: _Floats = sides.clip(min=0).prod(axis=-1)
    return areas


def _ious(box: _Floats, boxes: _Floats) -> _Floats:
    """IoU of a box (4,) with each of (M, 4); those without area have 0."""
    both = _shared(box, boxes)
    areas: _Floats = _areas(boxes) + _areas(box[None]) - both
    ious: _Floats = both / np.maximum(areas, np.finfo(areas.dtype).tiny)
    return ious


def _order(boxes: _Floats, scores: _Floats, is_cut: _Truths) -> _Places:
    """The order (M,) of boxes in NMS: whole ones by score, then cut ones by area."""
    order = np.argsort(-np.where(is_cut, _areas(boxes), scores), kind="stable")
    return order[np.argsort(is_cut[order], kind="stable")]


def _suppress(boxes: _Floats, labels: _Places, order: _Places, iou_threshold: float) -> _Places:
    """Places of the boxes that no earlier one of their class suppresses, in ``order``."""
    kept = []
    while len(order):
        first, order = order[0], order[1:]
        kept.append(first)
        is_like = _ious(boxes[first], boxes[order]) > iou_threshold
        order = order[~(is_like & (labels[order] == labels[first]))]
    return np.array(kept, dtype=np.int64)


def _best_cut_view(
    boxes: _Floats, scores: _Floats, labels: _Places, is_cut: _Truths, kept: _Places, iou_threshold: float
) -> _Floats:
    """The best score among the cut boxes that each of ``kept`` (R,) suppresses; 0 without any: (R,)."""
    cut, wide = np.flatnonzero(is_cut), boxes.astype(np.float64)
    best = np.zeros(len(kept), dtype=scores.dtype)
    for row, place in enumerate(kept):
        is_same = (_ious(wide[place], wide[cut]) > iou_threshold) & (labels[cut] == labels[place])
        best[row] = scores[cut[is_same]].max(initial=0)
    return best


def _touches_inner_edge(boxes: _Floats, window: Window, image_size: Size) -> _Truths:
    """Which boxes (M, 4), in pixels of the image, reach an edge of ``window`` that is not the image's."""
    height, width = image_size
    x, y = _EDGE * window.width, _EDGE * window.height
    right, bottom = window.left + window.width, window.top + window.height
    touches = np.zeros(len(boxes), dtype=np.bool_)
    touches |= (boxes[:, 0] <= window.left + x) & (window.left > 0)
    touches |= (boxes[:, 1] <= window.top + y) & (window.top > 0)
    touches |= (boxes[:, 2] >= right - x) & (right < width)
    return touches | ((boxes[:, 3] >= bottom - y) & (bottom < height))


def _is_part(boxes: _Floats, labels: _Places) -> _Truths:
    """Which of (M, 4) lie mostly within a larger one of the same label."""
    area = _areas(boxes)
    within = _shared(boxes[:, None], boxes[None]) > _MOSTLY * area[:, None]
    found: _Truths = (within & (area[None] > area[:, None]) & (labels[:, None] == labels[None])).any(axis=1)
    return found


def merge_label_maps(
    parts: Sequence[npt.NDArray[np.uint8]], windows: Sequence[Window], image_size: Size
) -> npt.NDArray[np.uint8]:
    """Label maps of windows -> the image's (H, W): each pixel from the tile whose middle is the nearest."""
    merged = np.empty(image_size, dtype=parts[0].dtype)
    rows = _owned({window.top: window.height for window in windows})
    columns = _owned({window.left: window.width for window in windows})
    for part, window in zip(parts, windows, strict=True):
        top, bottom = rows[window.top]
        left, right = columns[window.left]
        merged[top:bottom, left:right] = part[
            top - window.top : bottom - window.top, left - window.left : right - window.left
        ]
    return merged


def _owned(lengths: dict[int, int]) -> dict[int, tuple[int, int]]:
    """Start -> length of the tiles along a side; gives start -> begin and end of what is taken from each."""
    starts = sorted(lengths)
    borders = [(later + start + lengths[start]) // 2 for start, later in pairwise(starts)]
    ends = [*borders, starts[-1] + lengths[starts[-1]]]
    return dict(zip(starts, zip([0, *borders], ends, strict=True), strict=True))
