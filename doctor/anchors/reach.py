"""Whether SSD's anchors reach the boxes: matching as in training, and the recall ceiling at any size."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from pocketvision.core.protocols import Anchors
from pocketvision.core.resize import Resize
from pocketvision.core.structures import Size
from pocketvision.datasets.records.annotations import DetectionRecords
from pocketvision.losses.matcher import IoUMatcher

FloatArray = npt.NDArray[np.float64]

_MATCHED_AT_ONCE = 256
"""Boxes: more take more memory, and no less time."""
IOU_THRESHOLD = 0.5
SSD_STRIDES = (16, 32, 64, 128, 256, 512)
"""Strides of SSDLite's six maps."""

BUCKETS = {"small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, float("inf"))}
"""COCO's sizes, by the area of the box in pixels of the original image."""


class ImageBoxes(NamedTuple):
    """Boxes of several images: ``boxes`` (B, 4) xyxy pixels, ``owners`` (B,) index ``sizes`` (N, 2)."""

    boxes: FloatArray
    owners: npt.NDArray[np.int64]
    sizes: npt.NDArray[np.int64]


@dataclass(frozen=True)
class AnchorLayout:
    """Anchors with the strides of the maps on which they are placed."""

    name: str
    anchors: Anchors
    strides: tuple[int, ...] = SSD_STRIDES

    def map_sizes(self, image_size: Size) -> list[Size]:
        """Sizes of the maps: every stride-2 layer rounds up."""
        height, width = image_size
        return [(-(-height // stride), -(-width // stride)) for stride in self.strides]

    def place(self, image_size: Size) -> torch.Tensor:
        """Anchors (A, 4) xyxy pixels."""
        return self.anchors(self.map_sizes(image_size), image_size)


class Matching(NamedTuple):
    """Boxes (B,) that no anchor overlaps by ``IOU_THRESHOLD``, and those that end without any anchor."""

    unmatched: npt.NDArray[np.bool_]
    lost: npt.NDArray[np.bool_]


def resize_boxes(found: ImageBoxes, resize: Resize) -> FloatArray:
    """The boxes in pixels of the model's input."""
    sizes = found.sizes.astype(np.int64)
    different, which = np.unique(sizes[:, 0] << 32 | sizes[:, 1], return_inverse=True)
    factors = np.empty((len(different), 2))
    for i, packed in enumerate(different.tolist()):
        height, width = packed >> 32, packed & 0xFFFFFFFF
        content = resize.content_size((height, width))
        factors[i] = content[1] / width, content[0] / height
    return np.asarray(found.boxes * np.tile(factors[which[found.owners]], 2))


def match(found: ImageBoxes, layout: AnchorLayout, resize: Resize) -> Matching:
    """Match as training does (:class:`IoUMatcher`), image by image.

    A box is lost if another one of its image has the same best anchor, takes it, and no other anchor
    is left to it.
    """
    anchors = layout.place(resize.image_size)
    resized = resize_boxes(found, resize)
    unmatched = best_iou(resized, layout, resize.image_size) < IOU_THRESHOLD
    boxes, lost = torch.from_numpy(resized.astype(np.float32)), np.zeros(len(resized), dtype=np.bool_)
    matcher = IoUMatcher(IOU_THRESHOLD)
    order = np.argsort(found.owners, kind="stable")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # many small steps: more threads would only wait for each other
    of_images = np.split(order, np.flatnonzero(np.diff(found.owners[order])) + 1)
    for rows in _batches(of_images):
        is_box = torch.ones(rows.shape, dtype=torch.bool)
        matched = matcher(boxes[rows], is_box, anchors)
        # Anchors without a box, -1, are counted in a last column.
        keeps = torch.zeros(len(rows), rows.shape[1] + 1, dtype=torch.bool)
        keeps.scatter_(1, matched % (rows.shape[1] + 1), torch.ones_like(matched, dtype=torch.bool))
        lost[rows] = ~keeps[:, :-1].numpy()
    torch.set_num_threads(threads)
    return Matching(unmatched, lost)


def _batches(of_images: Sequence[npt.NDArray[np.int64]]) -> Iterator[npt.NDArray[np.int64]]:
    """Rows (N, G) of the boxes of images that have as many each; a box alone keeps its best anchor."""
    by_count: dict[int, list[npt.NDArray[np.int64]]] = defaultdict(list)
    for rows in of_images:
        by_count[len(rows)].append(rows)
    for count, every in by_count.items():
        size = max(1, _MATCHED_AT_ONCE // count)
        for start in range(0, len(every) if count > 1 else 0, size):
            yield np.stack(every[start : start + size])


def best_iou(boxes: FloatArray, layout: AnchorLayout, image_size: Size) -> FloatArray:
    """The highest IoU (B,) of each box (B, 4), in pixels of the input, with any anchor.

    Of the anchors of one shape, the nearest in x and in y overlaps most, so one for each shape is enough
    and the whole of COCO takes seconds. Anchors must lie on a grid, with the same shapes in every cell.
    Computed in float32 by the steps of :func:`box_iou`, so that a box at the threshold counts as in training.
    """
    placed, own = layout.place(image_size).numpy(), boxes.astype(np.float32)
    best, start = np.zeros(len(boxes), dtype=np.float32), 0
    map_sizes = layout.map_sizes(image_size)
    for (rows, columns), count in zip(map_sizes, layout.anchors.num_anchors(len(map_sizes)), strict=True):
        stop = start + rows * columns * count
        grid = placed[start:stop].reshape(rows, columns, count, 4)
        for k in range(count):
            best = np.maximum(best, _iou(own, grid[0, :, k, 0::2], grid[:, 0, k, 1::2]))
        start = stop
    return best.astype(np.float64)


Float32 = npt.NDArray[np.float32]


def _iou(boxes: Float32, columns: Float32, rows: Float32) -> Float32:
    """IoU with the nearest of anchors that span ``columns`` (n, 2) and ``rows`` (m, 2)."""
    overlap, area, anchor_area = (np.ones(len(boxes), dtype=np.float32) for _ in range(3))
    for axis, spans in enumerate((columns, rows)):
        low, high = boxes[:, axis], boxes[:, axis + 2]
        centers = spans.mean(axis=1)
        span = spans[np.searchsorted((centers[1:] + centers[:-1]) / 2, (low + high) / 2)]
        overlap *= (np.minimum(high, span[:, 1]) - np.maximum(low, span[:, 0])).clip(0)
        area *= high - low
        anchor_area *= span[:, 1] - span[:, 0]
    return overlap / (area + anchor_area - overlap)


class Ceiling(NamedTuple):
    """Share of boxes that some anchor overlaps by at least ``IOU_THRESHOLD``; None without such boxes."""

    all: float | None
    small: float | None
    medium: float | None
    large: float | None


def ceiling(iou: FloatArray, areas: FloatArray) -> Ceiling:
    """Recall ceiling of all boxes and by COCO's sizes, from :func:`best_iou` and areas in original pixels."""
    reached = iou >= IOU_THRESHOLD
    parts = [reached, *(reached[(areas >= low) & (areas < high)] for low, high in BUCKETS.values())]
    return Ceiling(*(float(part.mean()) if len(part) else None for part in parts))


def at_size(resize: Resize, image_size: Size) -> Resize:
    """The same way of resizing to another size."""
    return replace(resize, image_size=image_size)


def areas_of(boxes: FloatArray) -> FloatArray:
    """Areas (B,) of boxes (B, 4)."""
    return np.asarray((boxes[:, 2:] - boxes[:, :2]).prod(axis=1))


def evenly(found: ImageBoxes, count: int) -> ImageBoxes:
    """About ``count`` of the boxes, by taking every n-th image; all of them if there are not more."""
    step = max(1, -(-len(found.boxes) // count))
    _, ranks = np.unique(found.owners, return_inverse=True)
    keep = ranks % step == 0
    return found._replace(boxes=found.boxes[keep], owners=found.owners[keep])


def shapes_of(boxes: FloatArray, image_size: Size) -> FloatArray:
    """(width, height) (B, 2) relative to the input, of boxes in its pixels."""
    height, width = image_size
    return np.asarray((boxes[:, 2:] - boxes[:, :2]) / np.array([width, height]))


def training_boxes(trained: Sequence[DetectionRecords]) -> ImageBoxes:
    """The boxes to train on; crowds are never trained on."""
    boxes, owners, sizes, first = [np.zeros((0, 4))], [np.zeros(0, np.int64)], [np.zeros((0, 2), np.int64)], 0
    for records in trained:
        keep = ~np.asarray(records.crowd)
        boxes.append(records.boxes[keep].astype(np.float64))
        owners.append(records.owners()[keep] + first)
        sizes.append(records.sizes.astype(np.int64))
        first += len(records)
    return ImageBoxes(np.concatenate(boxes), np.concatenate(owners), np.concatenate(sizes))
