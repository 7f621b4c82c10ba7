"""For each detection the boxes of its image that it overlaps most: of its own class and of others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pocketvision.metrics.coco_arrays import Float64s, Found, Integers, Truth, box_ious

_PAIRS_AT_ONCE = 2**17


class Best(NamedTuple):
    """IoU (D,) with the best box, 0 without one, and its position in :class:`Truth`, or -1."""

    ious: Float64s
    boxes: Integers


class Overlaps(NamedTuple):
    """Best overlaps of D detections with boxes that aren't crowds.

    ``used`` is with boxes of the own class that are in ``matched``.
    """

    own_class: Best
    other_class: Best
    used: Best


class Pairs(NamedTuple):
    """P pairs: positions of a detection and of a box of its image, and their IoU."""

    detections: Integers
    boxes: Integers
    ious: Float64s


def image_pairs(truth: Truth, found: Found, chosen: Integers) -> Iterator[Pairs]:
    """All pairs of ``chosen`` detections with the boxes of their images but crowds, in parts."""
    boxes = np.flatnonzero(~truth.crowd)
    boxes = boxes[np.argsort(truth.images[boxes], kind="stable")]
    images = truth.images[boxes]
    starts = np.searchsorted(images, found.images[chosen], side="left")
    counts = np.searchsorted(images, found.images[chosen], side="right") - starts
    parts = np.cumsum(counts) // _PAIRS_AT_ONCE
    for part in np.split(np.arange(len(chosen)), np.flatnonzero(np.diff(parts)) + 1):
        rows = np.repeat(part, counts[part])
        ends = np.cumsum(counts[part])
        places = boxes[starts[rows] + np.arange(len(rows)) - np.repeat(ends - counts[part], counts[part])]
        detections = chosen[rows]
        crowd = np.zeros(len(rows), dtype=bool)
        yield Pairs(detections, places, box_ious(found.boxes[detections], truth.boxes[places], crowd))


def best_overlaps(truth: Truth, found: Found, chosen: Integers, matched: NDArray[np.bool_]) -> Overlaps:
    """Overlaps of the ``chosen`` positions (D,) in ``found``, sorted; ``matched`` (G,) boxes are used."""
    result = [Best(np.zeros(len(chosen)), np.full(len(chosen), -1)) for _ in range(3)]
    for detections, boxes, ious in image_pairs(truth, found, chosen):
        same = found.categories[detections] == truth.categories[boxes]
        for best, wanted in zip(result, (same, ~same, same & matched[boxes]), strict=True):
            _keep_best(best, chosen, detections[wanted], boxes[wanted], ious[wanted])
    return Overlaps(*result)


def _keep_best(best: Best, chosen: Integers, detections: Integers, boxes: Integers, ious: Float64s) -> None:
    """Enter the best box of each detection; all its pairs are here. Of equal IoUs the first box wins."""
    if not len(detections):
        return
    starts = np.flatnonzero(np.diff(detections, prepend=-1))
    highest = np.maximum.reduceat(ious, starts)
    is_best = np.flatnonzero(ious == np.repeat(highest, np.diff(starts, append=len(ious))))
    first = is_best[np.flatnonzero(np.diff(detections[is_best], prepend=-1))]
    rows = np.searchsorted(chosen, detections[starts])
    best.ious[rows], best.boxes[rows] = highest, boxes[first]
