"""A detector at a score threshold: best thresholds, confusion matrix, results of single images."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pocketvision.metrics.coco_arrays import IOU_THRESHOLDS, Float64s, Found, Integers, Truth
from pocketvision.metrics.coco_matching import Matches
from pocketvision.metrics.detection_overlaps import image_pairs

_FIRST = np.uint64(1)
"""The bit of IoU 0.5 and boxes of any area."""

DEFAULT_THRESHOLD = 0.5
"""For classes without a best one."""


class OperatingPoint(NamedTuple):
    """Where F1 at IoU 0.5 is highest: detections with a score of ``threshold`` or more are kept."""

    threshold: float
    precision: float
    recall: float
    f1: float


class ImageCounts(NamedTuple):
    """For N images at the best thresholds and IoU 0.5: boxes found and missed, false detections (N,)."""

    found: Integers
    missed: Integers
    false: Integers

    @property
    def f1(self) -> Float64s:
        """2 found / (2 found + missed + false), NaN for images without boxes and detections."""
        total = 2 * self.found + self.missed + self.false
        f1: Float64s = np.divide(2 * self.found, total, out=np.full(len(total), np.nan), where=total > 0)
        return f1


def operating_points(matches: Matches) -> list[OperatingPoint | None]:
    """The best threshold of each of the K classes; None where nothing was found."""
    points: list[OperatingPoint | None] = []
    edges = np.searchsorted(matches.categories, np.arange(len(matches.num_truth) + 1))
    for category, num_truth in enumerate(matches.num_truth[:, 0].tolist()):
        part = slice(edges[category], edges[category + 1])
        hits = np.cumsum(matches.hits[part] & _FIRST).astype(np.int64)
        if not num_truth or not len(hits) or not hits[-1]:
            points.append(None)
            continue
        counted = np.cumsum(matches.counted[part] & _FIRST).astype(np.int64)
        scores = matches.scores[part]
        # A threshold takes all detections of its score or none.
        f1 = np.where(np.diff(scores, append=-np.inf) != 0, 2 * hits / (counted + num_truth), 0.0)
        best = int(np.argmax(f1))
        precision, recall = float(hits[best] / counted[best]), float(hits[best] / num_truth)
        points.append(OperatingPoint(float(scores[best]), precision, recall, float(f1[best])))
    return points


def best_threshold(matches: Matches) -> float | None:
    """The one threshold for all classes with the highest F1 at IoU 0.5; None where nothing was found.

    It lies between two scores, so that rounding moves no detection across it.
    """
    order = np.argsort(-matches.scores, kind="stable")
    scores = matches.scores[order]
    hits = np.cumsum(matches.hits[order] & _FIRST).astype(np.int64)
    if not len(hits) or not hits[-1]:
        return None
    counted = np.cumsum(matches.counted[order] & _FIRST).astype(np.int64)
    f1 = np.where(
        np.diff(scores, append=-np.inf) != 0, 2 * hits / (counted + matches.num_truth[:, 0].sum()), 0.0
    )
    best = int(np.argmax(f1))
    lower = scores[best + 1] if best + 1 < len(scores) else 0.0
    return float((scores[best] + lower) / 2)


def thresholds_of(points: list[OperatingPoint | None]) -> Float64s:
    """Score thresholds (K,)."""
    return np.array([DEFAULT_THRESHOLD if point is None else point.threshold for point in points])


def image_counts(truth: Truth, matches: Matches, thresholds: Float64s, num_images: int) -> ImageCounts:
    """What was found in each image, classes being told apart."""
    kept = (matches.counted & _FIRST != 0) & (matches.scores >= thresholds[matches.categories])
    is_hit = matches.hits & _FIRST != 0
    found = np.bincount(matches.images[kept & is_hit], minlength=num_images)
    false = np.bincount(matches.images[kept & ~is_hit], minlength=num_images)
    boxes = np.bincount(truth.images[~truth.crowd], minlength=num_images)
    return ImageCounts(found, boxes - found, false)


def confusion(truth: Truth, found: Found, matches: Matches, thresholds: Float64s) -> NDArray[np.int64]:
    """Boxes by (true, predicted) class at the thresholds, (K + 1, K + 1); the last index is background.

    The diagonal holds what COCO counts as found at IoU 0.5. Then the best of the other detections take
    the free boxes of other classes that they overlap by 0.5: confused. What is left of the boxes was
    missed, what is left of the detections is false.
    """
    background = len(matches.num_truth)
    matrix = np.zeros((background + 1, background + 1), dtype=np.int64)
    kept = (matches.counted & _FIRST != 0) & (matches.scores >= thresholds[matches.categories])
    hits = kept & (matches.hits & _FIRST != 0)
    np.add.at(matrix, (matches.categories[hits], matches.categories[hits]), 1)
    free = ~truth.crowd
    free[matches.targets[hits]] = False
    others = np.flatnonzero(kept & ~hits)
    left = np.zeros(len(found.scores), dtype=bool)
    left[matches.sources[others]] = True
    for detection, box in _confused(truth, found, np.flatnonzero(left)):
        if free[box] and left[detection]:
            free[box] = left[detection] = False
            matrix[truth.categories[box], found.categories[detection]] += 1
    matrix[:, background] += np.bincount(truth.categories[free], minlength=background + 1)
    matrix[background] += np.bincount(found.categories[left], minlength=background + 1)
    return matrix


def _confused(truth: Truth, found: Found, chosen: Integers) -> list[tuple[int, int]]:
    """Pairs of detections and boxes of other classes, best scores first, then best IoU."""
    parts = []
    for detections, boxes, ious in image_pairs(truth, found, chosen):
        near = (ious >= IOU_THRESHOLDS[0]) & (found.categories[detections] != truth.categories[boxes])
        parts.append((detections[near], boxes[near], ious[near]))
    detections, boxes, ious = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    order = np.lexsort((-ious, -found.scores[detections]))
    return list(zip(detections[order].tolist(), boxes[order].tolist(), strict=True))
