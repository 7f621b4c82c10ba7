"""Covers metrics/coco_arrays.py, metrics/coco_matching.py, metrics/coco_reference.py.

The NumPy engine against pycocotools: equal to the last bit on problems made to be hard.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from pycocotools.cocoeval import Params  # type: ignore[import-untyped]

from pocketvision.metrics import coco_matching
from pocketvision.metrics.coco_arrays import (
    AREA_NAMES,
    AREA_RANGES,
    IOU_THRESHOLDS,
    MAX_DETECTIONS,
    RECALL_LEVELS,
    Found,
    Truth,
    box_ious,
    summarize,
)  # fmt: skip
from pocketvision.metrics.coco_engine import accumulate
from pocketvision.metrics.coco_matching import match
from pocketvision.metrics.coco_reference import score_with_pycocotools

Problem = Callable[..., tuple[Truth, Found]]


def assert_equal(truth: Truth, found: Found, num_images: int, num_categories: int) -> None:
    scores = accumulate(match(truth, found, num_categories))
    expected = score_with_pycocotools(truth, found, num_images, num_categories)
    assert np.array_equal(scores.precision, expected.precision)
    assert np.array_equal(scores.recall, expected.recall)


@pytest.mark.parametrize("seed", range(8))
def test_hard_problems(coco_problem: Problem, seed: int) -> None:
    assert_equal(*coco_problem(seed), 12, 3)


@pytest.mark.parametrize("crowd", [0.0, 0.6])
def test_more_detections_than_count(coco_problem: Problem, crowd: float) -> None:
    """Above 100 of an image and class, with many equal scores at the limit."""
    truth, found = coco_problem(3, num_images=2, num_categories=1, num_found=300, crowd=crowd)
    assert np.bincount(found.images).min() > 100
    assert_equal(truth, found, 2, 1)


def test_pairs_in_parts(coco_problem: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    truth, found = coco_problem(5)
    whole = match(truth, found, 3)
    monkeypatch.setattr(coco_matching, "_PAIRS_AT_ONCE", 7)
    for a, b in zip(match(truth, found, 3), whole, strict=True):
        assert np.array_equal(a, b)


@pytest.mark.parametrize("what", ["truth", "detections", "both"])
def test_nothing(coco_problem: Problem, what: str) -> None:
    truth, found = coco_problem(0)
    if what != "detections":
        truth = Truth(*(values[:0] for values in truth))
    if what != "truth":
        found = Found(*(values[:0] for values in found))
    assert_equal(truth, found, 12, 3)
    assert summarize(accumulate(match(truth, found, 3)))["AP"] == (0.0 if what == "detections" else None)


def test_the_best_of_equal_boxes_is_the_last() -> None:
    """The first detection takes the second of two equal boxes, so that only a crowd is left for the rest."""
    box = np.array([[0.0, 0.0, 50.0, 50.0]])
    truth = Truth(
        np.zeros(3, int), np.zeros(3, int), box.repeat(3, 0), np.array([100.0, 2500.0, 2500.0]),
        np.array([False, False, True]), np.arange(1, 4),
    )  # fmt: skip
    found = Found(np.zeros(3, int), np.zeros(3, int), box.repeat(3, 0), np.array([0.9, 0.8, 0.7]))
    matches = match(truth, found, 1)
    assert matches.targets.tolist() == [1, 0, -1]
    # Among small boxes, only the first annotation is regular: all detections may find it, the best one does.
    small = 1 << 10
    assert [bool(bits & small) for bits in matches.hits.tolist()] == [True, False, False]
    assert_equal(truth, found, 1, 1)


@pytest.mark.parametrize("area", [0.0, 5000.0, 2e10])
def test_boxes_that_do_not_count_in_an_area_are_taken_once(area: float) -> None:
    """Two such boxes at one place excuse two of four detections there; an area of 0 counts as any."""
    place = np.array([[10.0, 10.0, 20.0, 20.0]])
    zeros = np.zeros(2, dtype=int)
    truth = Truth(
        zeros, zeros, place.repeat(2, 0), np.full(2, area), np.zeros(2, dtype=bool), np.array([7, 8])
    )
    found = Found(
        np.zeros(4, dtype=int), np.zeros(4, dtype=int), place.repeat(4, 0), np.linspace(0.9, 0.6, 4)
    )
    assert_equal(truth, found, 1, 1)
    matches = match(truth, found, 1)
    small = matches.counted >> np.uint64(len(IOU_THRESHOLDS)) & np.uint64(1)
    assert small.tolist() == ([1, 1, 1, 1] if area == 0 else [0, 0, 1, 1])


def test_areas_at_the_edges_of_their_ranges_are_in_both() -> None:
    edges = [0.0, 32.0**2, 96.0**2, 1e10]
    bits = coco_matching._area_bits(np.array([*edges, 1e11]))
    firsts = [[bool(value >> 10 * area & 1) for area in range(len(AREA_RANGES))] for value in bits.tolist()]
    assert firsts == [
        [True, True, False, False], [True, True, True, False], [True, False, True, True],
        [True, False, False, True], [False] * 4,
    ]  # fmt: skip


def test_thresholds_levels_and_areas_are_those_of_pycocotools() -> None:
    params = Params(iouType="bbox")
    assert np.array_equal(params.iouThrs, IOU_THRESHOLDS) and np.array_equal(params.recThrs, RECALL_LEVELS)
    assert [tuple(area) for area in params.areaRng] == list(AREA_RANGES)
    assert params.areaRngLbl == list(AREA_NAMES) and params.maxDets == list(MAX_DETECTIONS)


def test_ious_are_those_of_pycocotools() -> None:
    from pycocotools import mask

    random = np.random.default_rng(0)
    a, b = random.random((2, 500, 4)) * 50
    a[:50], b[40:60, :2], a[70:80, 2] = b[:50], a[40:60, :2] + a[40:60, 2:], 0
    crowd = random.random(500) < 0.3
    expected = [mask.iou(a[i : i + 1], b[i : i + 1], [bool(crowd[i])])[0, 0] for i in range(500)]
    assert np.array_equal(box_ious(a, b, crowd), expected)
