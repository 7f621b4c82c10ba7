"""What a model for somebody's own data takes from them: anchors, input size, class weights."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from pocketvision.core.anchors import ExplicitAnchors
from pocketvision.core.errors import InputError
from pocketvision.core.resize import Resize
from pocketvision.core.structures import Size
from pocketvision.datasets import read_mask
from pocketvision.datasets.even_choice import first_to_last
from pocketvision.datasets.records.annotations import DetectionRecords, SegmentationRecords
from pocketvision.doctor.anchors.fitted import STRIDES, fit_layout
from pocketvision.doctor.anchors.points import report_points
from pocketvision.doctor.anchors.reach import (
    IOU_THRESHOLD,
    ImageBoxes,
    best_iou,
    evenly,
    resize_boxes,
    shapes_of,
)
from pocketvision.doctor.anchors.suggested import map_levels
from pocketvision.doctor.checks.shapes import MAX_LOOKED_AT

ResizeMode = Literal["stretch", "letterbox"]

MIN_DETECTIONS, _CROWDED_MARGIN = 100, 1.5
_CROP_SHARE = 0.8
_MAX_BOXES = 50_000
_MOST = 0.9
"""Share of the boxes on a map that its anchor is not smaller than."""
_WEIGHT_POWER, _WEIGHT_LIMITS = -0.4, (0.1, 10.0)


def boxes_of(train: DetectionRecords) -> ImageBoxes:
    """All boxes but crowds.

    Raises:
        InputError: there are none.
    """
    keep = ~np.asarray(train.crowd)
    owners = np.repeat(np.arange(len(train)), np.diff(train.offsets))[keep]
    boxes = ImageBoxes(np.asarray(train.boxes)[keep].astype(np.float64), owners, train.sizes.astype(np.int64))
    if not len(owners):
        raise InputError(f"{train.root} has no boxes to train on: annotate some, or choose another --task.")
    return boxes


def fit_anchors(
    train: DetectionRecords, image_size: Size, mode: ResizeMode = "stretch"
) -> tuple[ExplicitAnchors, float]:
    """Anchors as :func:`fit_layout` chooses them, and the share of boxes that one overlaps by 0.5.

    Raises:
        InputError: there are no boxes to train on.
    """
    looked_at, resize = evenly(boxes_of(train), _MAX_BOXES), Resize(image_size, mode)
    layout = fit_layout(looked_at, resize)
    assert isinstance(layout.anchors, ExplicitAnchors)
    reached = best_iou(resize_boxes(looked_at, resize), layout, image_size) >= IOU_THRESHOLD
    return layout.anchors, float(reached.mean())


def fit_cells(
    train: DetectionRecords, image_size: Size, mode: ResizeMode = "stretch"
) -> tuple[ExplicitAnchors, float]:
    """One anchor a map of :data:`STRIDES` for a dense head, and the share of boxes that hold a cell's center.

    A head that knows nothing predicts its anchors, and distributions reach boxes of twice their size: each is
    as wide and as high as most boxes that belong on its map, of which one in ten is wider, or higher. A map
    without boxes has those of the nearest map that has some.

    Raises:
        InputError: there are no boxes to train on.
    """
    looked_at, resize = evenly(boxes_of(train), _MAX_BOXES), Resize(image_size, mode)
    shapes = shapes_of(resize_boxes(looked_at, resize), image_size)
    levels = np.array(map_levels(shapes, image_size, STRIDES))
    present = np.unique(levels)
    fitted = []
    for level in range(len(STRIDES)):
        own = shapes[levels == present[np.abs(present - level).argmin()]]
        width, height = np.quantile(own, _MOST, axis=0).tolist()
        fitted.append(((round(width, 4), round(height, 4)),))
    points = report_points(looked_at, resize, STRIDES[0])
    return ExplicitAnchors(tuple(fitted)), 1 - points.num_empty / points.num_boxes


def fit_max_detections(train: DetectionRecords) -> int:
    """Boxes that a model may give a picture: half as many again as any training picture has, at least 100."""
    owners = np.repeat(np.arange(len(train)), np.diff(train.offsets))[~np.asarray(train.crowd)]
    most = int(np.bincount(owners, minlength=1).max())
    return max(MIN_DETECTIONS, math.ceil(most * _CROWDED_MARGIN / 10) * 10)


def class_weights(train: SegmentationRecords) -> tuple[float, ...]:
    """Weights of mean 1: each class's share of the pixels to the power -0.4, as in ``lraspp_v2_camvid``."""
    counts = np.zeros(256, dtype=np.int64)
    for i in first_to_last(len(train), MAX_LOOKED_AT):
        path = train.mask_paths[i]
        counts += np.bincount(train.to_classes(read_mask(path), path).ravel(), minlength=256)
    own = counts[: len(train.class_names)]
    if not own.sum():
        raise InputError(
            f"{train.mask_paths[0]} and the other masks have no pixel of any class: check the masks, or "
            "state their classes in classes.txt."
        )
    present = own > 0
    weights = np.ones(len(own))
    weights[present] = (own[present] / own.sum()) ** _WEIGHT_POWER
    weights[present] /= weights[present].mean()
    low, high = _WEIGHT_LIMITS
    return tuple(round(min(max(weight, low), high), 2) for weight in weights.tolist())


def box_class_weights(train: DetectionRecords) -> tuple[float, ...]:
    """Weights of which the boxes' mean is 1: each class's share of them to the power -0.4, as for masks.

    So a batch's classes count as much in all as without weights, beside the background and the boxes' places.
    A class without boxes has 1.

    Raises:
        InputError: there are no boxes to train on.
    """
    boxes_of(train)
    labels = np.asarray(train.labels)[~np.asarray(train.crowd)]
    shares = np.bincount(labels, minlength=len(train.class_names)) / len(labels)
    present = shares > 0
    weights = np.ones(len(shares))
    weights[present] = shares[present] ** _WEIGHT_POWER
    weights[present] /= (weights * shares).sum()
    low, high = _WEIGHT_LIMITS
    return tuple(round(min(max(weight, low), high), 2) for weight in weights.tolist())


def crop_size(image_size: Size) -> Size:
    """Square training crops: four fifths of the shorter side, in steps of 32."""
    side = max(32, int(min(image_size) * _CROP_SHARE) // 32 * 32)
    return side, side
