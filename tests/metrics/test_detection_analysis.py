"""Thresholds, confusion and counts of images against plain counting."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from pocketvision.metrics.coco_arrays import Found, Truth
from pocketvision.metrics.coco_matching import Matches, match
from pocketvision.metrics.detection_analysis import (
    best_threshold,
    confusion,
    image_counts,
    operating_points,
    thresholds_of,
)

Problem = Callable[..., tuple[Truth, Found]]
K, N = 3, 20


def solved(make: Problem, seed: int) -> tuple[Truth, Found, Matches]:
    truth, found = make(seed, num_images=N - 1)  # the last image is empty
    truth = truth._replace(ids=np.arange(1, len(truth.ids) + 1))
    return truth, found, match(truth, found, K)


def at_threshold(matches: Matches, category: int, threshold: float) -> tuple[int, int]:
    """Right and all counted detections of a class with a score of ``threshold`` or more."""
    rows = (matches.categories == category) & (matches.scores >= threshold)
    return int((matches.hits[rows] & np.uint64(1)).sum()), int((matches.counted[rows] & np.uint64(1)).sum())


@pytest.mark.parametrize("seed", range(3))
def test_no_threshold_is_better(coco_problem: Problem, seed: int) -> None:
    truth, _, matches = solved(coco_problem, seed)
    for category, point in enumerate(operating_points(matches)):
        assert point is not None
        size = int((~truth.crowd & (truth.categories == category)).sum())
        best = 0.0
        for threshold in np.unique(matches.scores).tolist():
            right, counted = at_threshold(matches, category, threshold)
            best = max(best, 2 * right / (counted + size))
        right, counted = at_threshold(matches, category, point.threshold)
        assert point.f1 == pytest.approx(best) == pytest.approx(2 * right / (counted + size))
        assert point.precision == pytest.approx(right / counted)
        assert point.recall == pytest.approx(right / size)


@pytest.mark.parametrize("seed", range(6))
def test_no_threshold_for_all_classes_is_better(coco_problem: Problem, seed: int) -> None:
    truth, found = coco_problem(seed, num_images=4, num_found=4)
    matches = match(truth, found, K)
    size = int(matches.num_truth[:, 0].sum())
    scores = np.unique(matches.scores)[::-1].tolist()
    values = []
    for score in scores:
        right, counted = np.sum([at_threshold(matches, k, score) for k in range(K)], axis=0)
        values.append(2 * right / (counted + size))
    best = int(np.argmax(values))
    lower = scores[best + 1] if best + 1 < len(scores) else 0.0
    assert best_threshold(matches) == pytest.approx((scores[best] + lower) / 2)


def of_boxes(boxes: list[list[float]], categories: list[int]) -> Truth:
    size = len(boxes)
    return Truth(
        np.zeros(size, int), np.array(categories), np.array(boxes), np.full(size, 100.0),
        np.zeros(size, bool), np.arange(1, size + 1),
    )  # fmt: skip


def of_rows(boxes: list[list[float]], categories: list[int], scores: list[float]) -> Found:
    return Found(
        np.zeros(len(boxes), int), np.array(categories, dtype=np.int64),
        np.array(boxes, dtype=np.float64).reshape(-1, 4), np.array(scores),
    )  # fmt: skip


BOX, FAR = [0.0, 0.0, 10.0, 10.0], [90.0, 90.0, 10.0, 10.0]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (([BOX], [0], [0.8]), 0.4),  # down to 0
        (([BOX, FAR], [0, 0], [0.8, 0.6]), 0.7),  # the false one is left out
        (([FAR], [0], [0.8]), None),
        (([], [], []), None),
    ],
)
def test_the_best_threshold_of_few(
    rows: tuple[list[list[float]], list[int], list[float]], expected: float | None
) -> None:
    found = best_threshold(match(of_boxes([BOX], [0]), of_rows(*rows), K))
    assert found == (None if expected is None else pytest.approx(expected))


def test_classes_are_confused_from_half_an_overlap_on_and_with_the_nearest() -> None:
    half, near = [0.0, 0.0, 10.0, 5.0], [0.0, 0.0, 10.0, 9.0]
    truth, found = of_boxes([BOX], [0]), of_rows([half], [1], [0.9])
    assert confusion(truth, found, match(truth, found, K), np.zeros(K))[0, 1] == 1, "an IoU of 0.5"
    truth, found = of_boxes([half, near], [1, 2]), of_rows([BOX], [0], [0.9])
    matrix = confusion(truth, found, match(truth, found, K), np.zeros(K))
    assert (matrix[1, 0], matrix[2, 0], matrix[1, K]) == (0, 1, 1)


def test_a_class_that_is_not_found_has_no_best_threshold(coco_problem: Problem) -> None:
    truth, found, _ = solved(coco_problem, 0)
    found = found._replace(categories=np.where(found.categories == 2, 1, found.categories))
    points = operating_points(match(truth, found, K))
    assert points[2] is None and thresholds_of(points)[2] == 0.5


@pytest.mark.parametrize("seed", range(3))
def test_rows_and_columns_of_the_confusion_add_up(coco_problem: Problem, seed: int) -> None:
    truth, found, matches = solved(coco_problem, seed)
    thresholds = thresholds_of(operating_points(matches))
    matrix = confusion(truth, found, matches, thresholds)
    assert matrix[:K].sum(axis=1).tolist() == np.bincount(truth.categories[~truth.crowd]).tolist()
    right, counted = np.array([at_threshold(matches, k, thresholds[k]) for k in range(K)]).T
    assert matrix.diagonal()[:K].tolist() == right.tolist()
    assert matrix[:, :K].sum(axis=0).tolist() == counted.tolist()
    assert matrix[K, K] == 0 and matrix[:K, :K].sum() > matrix.diagonal()[:K].sum()
    counts = image_counts(truth, matches, thresholds, N)
    assert counts.found.sum() == right.sum() and counts.false.sum() == (counted - right).sum()
    assert counts.missed.sum() == matrix[:K].sum() - right.sum()
    defined = counts.found + counts.missed + counts.false > 0
    assert np.array_equal(~np.isnan(counts.f1), defined) and not defined.all()


def test_the_best_detection_takes_the_box_of_another_class() -> None:
    box = np.array([[0.0, 0.0, 10.0, 10.0]])
    truth = Truth(
        np.zeros(1, int), np.zeros(1, int), box, np.array([100.0]), np.array([False]), np.ones(1, int)
    )
    found = Found(np.zeros(3, int), np.array([1, 2, 2]), box.repeat(3, 0), np.array([0.9, 0.8, 0.1]))
    matrix = confusion(truth, found, match(truth, found, K), np.full(K, 0.5))
    assert matrix.tolist() == [[0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0]]
