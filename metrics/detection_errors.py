"""Why a detector loses AP: the six errors of TIDE (D. Bolya et al., arXiv:2008.08115, sec. 2).

Each detection that counts as false has one reason, and each box that none of them could have found is
missed. An error's ``dAP50`` is what AP50 would gain if this kind alone were repaired; the gains don't
add up. The matching is COCO's, for boxes of any area.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pocketvision.metrics.coco_arrays import RECALL_LEVELS, Float64s, Found, Integers, Truth
from pocketvision.metrics.coco_matching import Matches
from pocketvision.metrics.detection_overlaps import Overlaps, best_overlaps

ERRORS = ("class", "location", "both", "duplicate", "background", "missed")
FOREGROUND_IOU, BACKGROUND_IOU = 0.5, 0.1

_CLASS, _LOCATION, _BOTH, _DUPLICATE, _BACKGROUND = range(5)
_RIGHT = -1


class ErrorCount(NamedTuple):
    """How often an error happened, and the AP50 that its repair would give back."""

    number: int
    dap50: float


class _Detections(NamedTuple):
    """The counted detections by class and score: (D,) each; ``target`` is the box to find, or -1."""

    images: NDArray[np.int32]
    categories: Integers
    scores: Float64s
    errors: Integers
    target: Integers


def detection_errors(truth: Truth, found: Found, matches: Matches) -> dict[str, ErrorCount]:
    """Error -> count and dAP50; no AP can be gained where there is no box to find."""
    used = np.zeros(len(truth.ids), dtype=bool)
    used[matches.targets[matches.targets >= 0]] = True
    detections = _with_errors(truth, found, matches, used)
    repaired = _repairable(detections, used)
    could_be_found = np.zeros(len(truth.ids), dtype=bool)
    is_near = np.isin(detections.errors, (_CLASS, _LOCATION)) & (detections.target >= 0)
    could_be_found[detections.target[is_near]] = True
    missed = ~used & ~could_be_found & ~truth.crowd
    num_truth = np.bincount(truth.categories[~truth.crowd], minlength=len(matches.num_truth))
    before = _mean_ap(detections.categories, detections.scores, detections.errors == _RIGHT, num_truth)
    result = {}
    for error, name in enumerate(ERRORS[:-1]):
        after = _without(error, detections, truth, repaired, num_truth)
        result[name] = ErrorCount(int((detections.errors == error).sum()), max(0.0, after - before))
    fewer = num_truth - np.bincount(truth.categories[missed], minlength=len(num_truth))
    after = _mean_ap(detections.categories, detections.scores, detections.errors == _RIGHT, fewer)
    result["missed"] = ErrorCount(int(missed.sum()), max(0.0, after - before))
    return result


def _with_errors(truth: Truth, found: Found, matches: Matches, used: NDArray[np.bool_]) -> _Detections:
    first = np.uint64(1)
    rows = np.flatnonzero(matches.counted & first)
    wrong = rows[(matches.hits[rows] & first) == 0]
    sources = matches.sources[wrong].astype(np.int64)
    order = np.argsort(sources)
    overlaps = best_overlaps(truth, found, sources[order], used)
    reasons, boxes = _reasons(overlaps)
    errors, target = np.full((2, len(matches.scores)), _RIGHT)
    errors[wrong[order]], target[wrong[order]] = reasons, boxes
    return _Detections(
        matches.images[rows], matches.categories[rows].astype(np.int64), matches.scores[rows],
        errors[rows], target[rows],
    )  # fmt: skip


def _reasons(overlaps: Overlaps) -> tuple[Integers, Integers]:
    """The error of each false detection, and the box that it was meant for, where there is one."""
    own, other, used = (best.ious for best in overlaps)
    nearest = np.maximum(own, other)
    location = (own >= BACKGROUND_IOU) & (own <= FOREGROUND_IOU)
    conditions = [
        location, other >= FOREGROUND_IOU, used >= FOREGROUND_IOU, nearest <= BACKGROUND_IOU,
    ]  # fmt: skip
    errors = np.select(conditions, [_LOCATION, _CLASS, _DUPLICATE, _BACKGROUND], default=_BOTH)
    boxes = np.select(
        [errors == _LOCATION, errors == _CLASS],
        [overlaps.own_class.boxes, overlaps.other_class.boxes],
        default=-1,
    )
    return errors, boxes


def _repairable(detections: _Detections, used: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Detections that would find their box if they were repaired: it is free, and none scores higher."""
    repairable = np.zeros(len(detections.target), dtype=bool)
    aimed = np.flatnonzero(detections.target >= 0)
    free = aimed[~used[detections.target[aimed]]]
    order = free[np.lexsort((-detections.scores[free], detections.target[free]))]
    repairable[order[np.flatnonzero(np.diff(detections.target[order], prepend=-1))]] = True
    return repairable


def _without(
    error: int, detections: _Detections, truth: Truth, repairable: NDArray[np.bool_], num_truth: Integers
) -> float:
    """AP50 where an error is repaired: moved to its box, or else removed."""
    is_error = detections.errors == error
    repaired = is_error & repairable
    categories = detections.categories.copy()
    categories[repaired] = truth.categories[detections.target[repaired]]
    right = repaired | (detections.errors == _RIGHT)
    kept = ~is_error | repaired
    return _mean_ap(categories[kept], detections.scores[kept], right[kept], num_truth)


def _mean_ap(categories: Integers, scores: Float64s, right: NDArray[np.bool_], num_truth: Integers) -> float:
    """Mean over the classes with truth of AP at 101 recalls."""
    order = np.lexsort((-scores, categories))
    right, edges = right[order], np.searchsorted(categories[order], np.arange(len(num_truth) + 1))
    values = [
        _average_precision(right[edges[i] : edges[i + 1]], int(num_truth[i]))
        for i in np.flatnonzero(num_truth > 0).tolist()
    ]
    return float(np.mean(values)) if values else 0.0


def _average_precision(right: NDArray[np.bool_], num_truth: int) -> float:
    places = np.flatnonzero(right)
    found = np.arange(1, len(places) + 1)
    best = np.maximum.accumulate((found / (places + 1))[::-1])[::-1]
    needed = np.searchsorted(found / num_truth, RECALL_LEVELS, side="left")
    return float(best[needed[needed < len(best)]].sum()) / len(RECALL_LEVELS)
