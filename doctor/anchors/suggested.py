"""Anchors and an input size that fit the boxes of a data set."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pocketvision.core.anchors import ExplicitAnchors
from pocketvision.core.resize import Resize
from pocketvision.core.structures import Size
from pocketvision.doctor.anchors.reach import (
    IOU_THRESHOLD,
    AnchorLayout,
    Ceiling,
    FloatArray,
    ImageBoxes,
    areas_of,
    at_size,
    best_iou,
    ceiling,
    evenly,
    resize_boxes,
    shapes_of,
)

SIDES_PER_STRIDE = 2.7
"""An anchor lies on the coarsest map whose stride fits this often into its side: a box that lies halfway
between two centers, a quarter of a stride away in x and y on average, then still overlaps it by 0.7."""

MAX_SHAPES = 20
_CANDIDATES = 48
_WORTH = 0.003
_MAX_BOXES = 5_000
_ROUNDS = 20
_ENOUGH = 0.01


class Suggestion(NamedTuple):
    """Anchors with their strides, for an input of ``image_size``, and what they reach there."""

    layout: AnchorLayout
    image_size: Size
    ceiling: Ceiling


def suggest(
    found: ImageBoxes, resize: Resize, strides: tuple[int, ...], *, all_maps: bool = True
) -> Suggestion:
    """Anchors for maps of these strides, or only as many of them as are needed.

    Candidates are centers of k-means over the shapes; one after the other the one that newly reaches most
    boxes is taken, on the map that :data:`SIDES_PER_STRIDE` gives it, while that is worth it.
    """
    sample, size = evenly(found, _MAX_BOXES), resize.image_size
    boxes = resize_boxes(sample, resize)
    candidates = cluster_shapes(shapes_of(boxes, size), _CANDIDATES)
    levels = map_levels(candidates, size, strides)
    reached = np.array(
        [
            best_iou(boxes, _single(shape, strides[level]), size) >= IOU_THRESHOLD
            for shape, level in zip(candidates, levels, strict=True)
        ]
    )
    chosen = _most_covering(reached)
    used = strides if all_maps else strides[: max(levels[k] for k in chosen) + 1]
    layout = AnchorLayout("suggested", assign(candidates[chosen], size, used), used)
    exact = best_iou(resize_boxes(found, resize), layout, size)
    return Suggestion(layout, size, ceiling(exact, areas_of(found.boxes)))


def suggest_size(
    found: ImageBoxes, resize: Resize, strides: tuple[int, ...], sizes: tuple[Size, ...]
) -> Suggestion:
    """The smallest input whose suggested anchors reach nearly as much as those of any."""
    suggestions = [suggest(found, at_size(resize, size), strides, all_maps=False) for size in sizes]
    best = max(suggestion.ceiling.all or 0.0 for suggestion in suggestions)
    return next(s for s in suggestions if (s.ceiling.all or 0.0) >= best - _ENOUGH)


def cluster_shapes(shapes: FloatArray, count: int) -> FloatArray:
    """Centers (K, 2) of shapes (B, 2), K at most ``count``, sorted by area; the same every time.

    k-means whose distance is 1 - IoU (arXiv:1612.08242, sec. 2), with medians as centers.
    """
    order = np.argsort(shapes.prod(axis=1), kind="stable")
    parts = np.array_split(shapes[order], min(count, len(shapes)))
    centers = np.array([np.median(part, axis=0) for part in parts])
    for _ in range(_ROUNDS):
        nearest = _shape_iou(shapes, centers).argmax(axis=1)
        new = [np.median(shapes[nearest == k], axis=0) for k in np.unique(nearest)]
        if len(new) == len(centers) and np.allclose(new, centers, atol=1e-4):
            break
        centers = np.array(new)
    return np.array(sorted(centers.tolist(), key=lambda shape: shape[0] * shape[1]))


def _shape_iou(shapes: FloatArray, centers: FloatArray) -> FloatArray:
    """IoU (B, K) of shapes with the same center."""
    widths = np.minimum(shapes[:, None, 0], centers[None, :, 0])
    overlap = widths * np.minimum(shapes[:, None, 1], centers[None, :, 1])
    union = shapes.prod(axis=1)[:, None] + centers.prod(axis=1)[None] - overlap
    return np.asarray(overlap / np.maximum(union, np.finfo(np.float64).tiny))


def _most_covering(reached: npt.NDArray[np.bool_]) -> list[int]:
    """Rows of ``reached`` (K, B), greedily: each covers most of what is not covered yet."""
    left, chosen = np.ones(reached.shape[1], dtype=np.bool_), list[int]()
    while len(chosen) < MAX_SHAPES:
        gains = (reached & left).sum(axis=1)
        best = int(gains.argmax())
        if chosen and gains[best] < max(1, _WORTH * reached.shape[1]):
            break
        chosen.append(best)
        left &= ~reached[best]
    return sorted(chosen)


def map_levels(shapes: FloatArray, image_size: Size, strides: tuple[int, ...]) -> list[int]:
    """The map of each shape (K, 2): the coarsest whose stride fits often enough into it, else the finest."""
    sides = np.sqrt(shapes.prod(axis=1) * image_size[0] * image_size[1])
    fits = sides[:, None] >= SIDES_PER_STRIDE * np.array(strides)[None]
    return [int(np.flatnonzero(row)[-1]) if row.any() else 0 for row in fits]


def _single(shape: FloatArray, stride: int) -> AnchorLayout:
    width, height = shape.tolist()
    return AnchorLayout("single", ExplicitAnchors((((width, height),),)), (stride,))


def assign(shapes: FloatArray, image_size: Size, strides: tuple[int, ...]) -> ExplicitAnchors:
    """Shapes (K, 2) on their maps; as no map may be empty, one that gets none has the shape nearest to it."""
    levels = map_levels(shapes, image_size, strides)
    sides = np.sqrt(shapes.prod(axis=1) * image_size[0] * image_size[1])
    maps = []
    for i, stride in enumerate(strides):
        nearest = int(np.abs(np.log(sides / (SIDES_PER_STRIDE * stride))).argmin())
        own = [k for k, level in enumerate(levels) if level == i] or [nearest]
        maps.append(tuple((round(float(shapes[k, 0]), 4), round(float(shapes[k, 1]), 4)) for k in own))
    return ExplicitAnchors(tuple(maps))
