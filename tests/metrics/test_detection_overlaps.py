"""Best overlaps of every class against loops over all pairs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from pocketvision.metrics import detection_overlaps
from pocketvision.metrics.coco_arrays import Found, Truth, box_ious
from pocketvision.metrics.detection_overlaps import Best, best_overlaps

Problem = Callable[..., tuple[Truth, Found]]


def brute_force(truth: Truth, found: Found, row: int, wanted: NDArray[np.bool_]) -> tuple[float, int]:
    """The largest IoU of a detection with the ``wanted`` boxes of its image, and the first such box."""
    best = 0.0, -1
    for box in np.flatnonzero(wanted & ~truth.crowd & (truth.images == found.images[row])).tolist():
        iou = box_ious(found.boxes[[row]], truth.boxes[[box]], np.zeros(1, bool)).item()
        if iou > best[0] or best[1] < 0:
            best = iou, box
    return best


@pytest.mark.parametrize("pairs_at_once", [1, 7, 2**17])
@pytest.mark.parametrize("seed", range(3))
def test_equals_loops(
    coco_problem: Problem, monkeypatch: pytest.MonkeyPatch, seed: int, pairs_at_once: int
) -> None:
    monkeypatch.setattr(detection_overlaps, "_PAIRS_AT_ONCE", pairs_at_once)
    truth, found = coco_problem(seed, crowd=0.3, num_found=20)
    random = np.random.default_rng(seed)
    chosen = np.flatnonzero(random.random(len(found.images)) < 0.6)
    matched = random.random(len(truth.images)) < 0.4
    overlaps = best_overlaps(truth, found, chosen, matched)
    for place, row in enumerate(chosen.tolist()):
        same = truth.categories == found.categories[row]
        for best, wanted in zip(overlaps, (same, ~same, same & matched), strict=True):
            assert isinstance(best, Best)
            assert (best.ious[place], best.boxes[place]) == brute_force(truth, found, row, wanted)
    assert (overlaps.own_class.boxes == -1).any() and (overlaps.used.boxes >= 0).any()
