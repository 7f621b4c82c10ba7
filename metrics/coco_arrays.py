"""What COCO scoring reads and returns, as flat arrays that every engine shares."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Float64s = NDArray[np.float64]
Integers = NDArray[np.int64]

IOU_THRESHOLDS: Float64s = np.linspace(0.5, 0.95, 10)
RECALL_LEVELS: Float64s = np.linspace(0.0, 1.0, 101)
AREA_NAMES = ("all", "small", "medium", "large")
AREA_RANGES: tuple[tuple[float, float], ...] = ((0, 1e10), (0, 32**2), (32**2, 96**2), (96**2, 1e10))
"""Square pixels, both ends inside."""
MAX_DETECTIONS = (1, 10, 100)
"""Detections an image and class that count."""

ALL_AREAS, MOST_DETECTIONS = 0, -1
"""Positions of "any area" and of the largest limit."""


class Truth(NamedTuple):
    """G annotations in the file's order; an annotation with id 0 is never counted as found.

    ``images`` (G,) and ``categories`` (G,) are positions among the sorted ids of all images and of
    the scored categories; ``boxes`` (G, 4) xywh pixels, ``areas`` (G,), ``crowd`` (G,) bool, ``ids`` (G,).
    """

    images: Integers
    categories: Integers
    boxes: Float64s
    areas: Float64s
    crowd: NDArray[np.bool_]
    ids: Integers


class Found(NamedTuple):
    """D detections, images in order; equal scores of an image count in the order that they have here.

    ``images`` (D,), ``categories`` (D,) as in :class:`Truth`, ``boxes`` (D, 4) xywh, ``scores`` (D,).
    """

    images: Integers
    categories: Integers
    boxes: Float64s
    scores: Float64s


class Scores(NamedTuple):
    """COCOeval's arrays: -1 where there is no truth.

    ``precision`` (10 IoUs, 101 recalls, K, 4 areas, 3 limits), ``recall`` (10 IoUs, K, 4 areas, 3 limits).
    """

    precision: Float64s
    recall: Float64s


def summarize(scores: Scores) -> dict[str, float | None]:
    """The twelve numbers of ``COCOeval.stats`` by name, None where pycocotools writes -1."""
    precision, recall = scores.precision[..., MOST_DETECTIONS], scores.recall
    return {
        "AP": mean_defined(precision[..., ALL_AREAS]),
        "AP50": mean_defined(precision[:1, ..., ALL_AREAS]),
        "AP75": mean_defined(precision[5:6, ..., ALL_AREAS]),
        **{f"AP_{name}": mean_defined(precision[..., i]) for i, name in enumerate(AREA_NAMES) if i},
        **{f"AR_{limit}": mean_defined(recall[..., ALL_AREAS, i]) for i, limit in enumerate(MAX_DETECTIONS)},
        **{
            f"AR_{name}": mean_defined(recall[..., i, MOST_DETECTIONS])
            for i, name in enumerate(AREA_NAMES)
            if i
        },
    }


def mean_defined(values: Float64s) -> float | None:
    """Mean of the values that are defined; pycocotools writes -1 for the others."""
    defined = values[values > -1]
    return float(defined.mean()) if defined.size else None


def box_ious(detections: Float64s, truth: Float64s, crowd: NDArray[np.bool_]) -> Float64s:
    """IoU (P,) of P pairs of boxes (P, 4) xywh; with a crowd, the share of the detection that it covers.

    By the arithmetic of pycocotools' ``bbIou``, to the last bit.
    """
    ends, truth_ends = detections[:, :2] + detections[:, 2:], truth[:, :2] + truth[:, 2:]
    sides = np.minimum(ends, truth_ends) - np.maximum(detections[:, :2], truth[:, :2])
    common = sides[:, 0] * sides[:, 1]
    area, truth_area = detections[:, 2] * detections[:, 3], truth[:, 2] * truth[:, 3]
    union = np.where(crowd, area, area + truth_area - common)
    overlap = (sides > 0).all(axis=1)
    ious: Float64s = np.divide(common, union, out=np.zeros(len(common)), where=overlap)
    return ious
