"""Large images in overlapping tiles: where they lie, and how their results become one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor
from torchvision.ops import batched_nms  # type: ignore[import-untyped]

from pocketvision.core.boxes import box_area, box_iou
from pocketvision.core.structures import Detections, Size

_EDGE = 0.01
"""A box that ends within this share of a tile from its edge may be cut off there."""
_MOSTLY = 0.7


class Window(NamedTuple):
    """A part of an image: its upper left corner and its size, in pixels."""

    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True)
class Tiling:
    """Tiles of ``tile`` (height, width) that share at least ``overlap`` of their sides with the next.

    They are spread evenly; an image that is smaller in a direction has one tile there, of its own size.

    Raises:
        ValueError: a value makes no tiles.
    """

    tile: Size
    overlap: float = 0.2

    def __post_init__(self) -> None:
        if len(self.tile) != 2 or min(self.tile) < 16:
            raise ValueError(f"The tile is {self.tile}: give its height and width, at least 16 pixels each.")
        if not 0 <= self.overlap < 0.9:
            raise ValueError(f"The overlap of tiles is {self.overlap}: give a share from 0, below 0.9.")

    def windows(self, image_size: Size) -> list[Window]:
        """The tiles of an image of (height, width), row by row."""
        tops, lefts = (self._starts(*sides) for sides in zip(image_size, self.tile, strict=True))
        height, width = (min(sides) for sides in zip(image_size, self.tile, strict=True))
        return [Window(top, left, height, width) for top in tops for left in lefts]

    def _starts(self, length: int, tile: int) -> list[int]:
        if length <= tile:
            return [0]
        steps = math.ceil((length - tile) / (tile * (1 - self.overlap)))
        return [round(i * (length - tile) / steps) for i in range(steps + 1)]


def merge_detections(
    parts: Sequence[Detections],
    windows: Sequence[Window],
    image_size: Size,
    iou_threshold: float,
) -> Detections:
    """Detections in pixels of their windows -> all those of the image, best first.

    NMS within each class lets whole boxes go before those that their windows cut off, and larger cut ones
    before smaller: a cut view is never kept in place of a fuller one, which takes the better score of the
    two. Then a cut box is dropped where it lies mostly within a larger one of its class: the IoU of a part
    with the whole is too low for NMS.
    """
    moved = [
        part.boxes + torch.tensor([window.left, window.top] * 2, dtype=part.boxes.dtype)
        for part, window in zip(parts, windows, strict=True)
    ]
    boxes = torch.cat(moved)
    scores, labels = torch.cat([part.scores for part in parts]), torch.cat([part.labels for part in parts])
    is_cut = torch.cat(
        [_touches_inner_edge(found, window, image_size) for found, window in zip(moved, windows, strict=True)]
    )
    kept = batched_nms(boxes.double(), -_rank(boxes, scores, is_cut).double(), labels, iou_threshold)
    kept = kept[~(is_cut[kept] & _is_part(boxes[kept], labels[kept]))]
    best = torch.maximum(scores[kept], _best_cut_view(boxes, scores, labels, is_cut, kept, iou_threshold))
    best, order = best.sort(descending=True, stable=True)
    kept = kept[order]
    return Detections(boxes[kept], best, labels[kept])


def _rank(boxes: Tensor, scores: Tensor, is_cut: Tensor) -> Tensor:
    """Place (M,) of each box in the order of NMS: whole ones by score, then cut ones by area."""
    order = torch.where(is_cut, box_area(boxes), scores).argsort(descending=True, stable=True)
    order = order[is_cut[order].int().argsort(stable=True)]
    return torch.empty_like(order).scatter_(0, order, torch.arange(len(order)))


def _best_cut_view(
    boxes: Tensor, scores: Tensor, labels: Tensor, is_cut: Tensor, kept: Tensor, iou_threshold: float
) -> Tensor:
    """The best score among the cut boxes that each of ``kept`` (R,) suppresses; 0 without any: (R,)."""
    cut = is_cut.nonzero().squeeze(1)
    if not len(cut):
        return torch.zeros_like(scores[kept])
    is_same = box_iou(boxes[kept].double(), boxes[cut].double()) > iou_threshold
    is_same &= labels[kept][:, None] == labels[cut]
    return (scores[cut] * is_same).amax(dim=1)


def _touches_inner_edge(boxes: Tensor, window: Window, image_size: Size) -> Tensor:
    """Which boxes (M, 4), in pixels of the image, reach an edge of ``window`` that is not the image's."""
    height, width = image_size
    x, y = _EDGE * window.width, _EDGE * window.height
    right, bottom = window.left + window.width, window.top + window.height
    touches = torch.zeros(len(boxes), dtype=torch.bool)
    touches |= (boxes[:, 0] <= window.left + x) & (window.left > 0)
    touches |= (boxes[:, 1] <= window.top + y) & (window.top > 0)
    touches |= (boxes[:, 2] >= right - x) & (right < width)
    return touches | ((boxes[:, 3] >= bottom - y) & (bottom < height))


def _is_part(boxes: Tensor, labels: Tensor) -> Tensor:
    """Which of (M, 4) lie mostly within a larger one of the same label."""
    corner = torch.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    sides = (corner - torch.maximum(boxes[:, None, :2], boxes[None, :, :2])).clamp(min=0)
    area = box_area(boxes)
    within = sides.prod(dim=-1) > _MOSTLY * area[:, None]
    return (within & (area[None] > area[:, None]) & (labels[:, None] == labels[None])).any(dim=1)


def merge_label_maps(parts: Sequence[Tensor], windows: Sequence[Window], image_size: Size) -> Tensor:
    """Label maps of windows -> the image's (H, W): each pixel from the tile whose middle is the nearest."""
    merged = torch.empty(image_size, dtype=parts[0].dtype)
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
