"""AP of weighted images against data sets in which images are really repeated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pocketvision.metrics.coco_arrays import Found, Truth, summarize
from pocketvision.metrics.coco_engine import accumulate
from pocketvision.metrics.coco_matching import Matches, match
from pocketvision.metrics.coco_resampled import ResampledAP, ResampledSizes, sized_matches

Problem = Callable[..., tuple[Truth, Found]]
Arrays = TypeVar("Arrays", Truth, Found)


def repeated(arrays: Arrays, weights: NDArray[np.int64]) -> Arrays:
    """The data set with ``weights[i]`` copies of image i, one after the other."""
    parts: list[tuple[NDArray[Any], ...]] = []
    for new, old in enumerate(np.repeat(np.arange(len(weights)), weights).tolist()):
        rows = arrays.images == old
        parts.append((np.full(rows.sum(), new), *(values[rows] for values in arrays[1:])))
    return type(arrays)(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def resampled_ap(truth: Truth, matches: Matches, *sizes: int) -> ResampledAP:
    return ResampledAP(sized_matches(truth, matches).table(), *sizes)


def resampled_sizes(truth: Truth, matches: Matches, *sizes: int) -> ResampledSizes:
    found = sized_matches(truth, matches)
    return ResampledSizes([found.table(area) for area in range(4)], *sizes)


def summary(matches: Matches) -> dict[str, float]:
    """COCO's numbers of the same name, NaN where they are undefined."""
    numbers = summarize(accumulate(matches))
    names = ("AP", "AP50", "AP_small", "AP_medium", "AP_large")
    return {name: float("nan") if numbers[name] is None else float(numbers[name]) for name in names}


@pytest.mark.parametrize("seed", range(6))
def test_ap_equals_that_of_repeated_images(coco_problem: Problem, seed: int) -> None:
    truth, found = coco_problem(seed, crowd=0.3)
    truth = truth._replace(ids=np.arange(1, len(truth.ids) + 1))
    # Equal scores of one image would be ordered copy by copy.
    found = found._replace(scores=np.random.default_rng(seed).permutation(len(found.scores)) / 1e4)
    score = resampled_sizes(truth, match(truth, found, 3), 12, 3)
    random = np.random.default_rng(seed)
    for weights in (np.ones(12, dtype=np.int64), random.integers(0, 4, 12), random.integers(0, 2, 12)):
        expected = summary(match(repeated(truth, weights), repeated(found, weights), 3))
        values = score(weights)
        assert list(values) == list(expected)
        assert values == pytest.approx(expected, abs=1e-12, nan_ok=True)


@given(st.integers(0, 10**6), st.integers(0, 20), st.sampled_from([0.0, 0.3, 1.0]))
@settings(max_examples=25, deadline=None)
def test_every_image_once_is_ap_itself(
    coco_problem: Problem, seed: int, num_found: int, crowd: float
) -> None:
    """With equal scores, an annotation with id 0, all crowd, and without detections or truth."""
    truth, found = coco_problem(seed, num_images=seed % 9 + 1, num_found=num_found, crowd=crowd)
    matches = match(truth, found, 4)
    values = resampled_sizes(truth, matches, 11, 4)(np.ones(11, dtype=np.int64))
    assert values == pytest.approx(summary(matches), abs=1e-12, nan_ok=True)


def test_levels_that_are_a_little_more_than_a_per_cent() -> None:
    """0.07 is less than COCO's level 7 * 0.01: a hundred boxes, of which seven are found."""
    boxes = np.array([[0.0, 0.0, 10.0, 10.0]]).repeat(100, 0)
    zeros = np.zeros(100, int)
    truth = Truth(np.arange(100), zeros, boxes, zeros + 100.0, zeros > 0, np.arange(1, 101))
    for number in (7, 14, 28, 29, 55, 57, 58):
        found = Found(np.arange(number), zeros[:number], boxes[:number], np.linspace(0.9, 0.1, number))
        matches = match(truth, found, 1)
        score = resampled_ap(truth, matches, 100, 1)
        values = score(np.ones(100, dtype=np.int64))
        assert values["AP"] == pytest.approx(summary(matches)["AP"], abs=1e-13)


def test_a_box_without_area_is_to_be_found() -> None:
    boxes, zeros = np.array([[0.0, 0.0, 10.0, 10.0], [50.0, 50.0, 10.0, 10.0]]), np.zeros(2, dtype=int)
    truth = Truth(zeros, zeros, boxes, np.array([100.0, 0.0]), zeros > 0, np.array([1, 2]))
    found = Found(zeros[:1], zeros[:1], boxes[:1], np.ones(1))
    matches = match(truth, found, 1)
    values = resampled_ap(truth, matches, 1, 1)(np.ones(1, dtype=np.int64))
    assert values["AP"] == pytest.approx(summary(matches)["AP"]) and values["AP"] < 0.6


def test_nothing_is_undefined_or_zero(coco_problem: Problem) -> None:
    truth, found = coco_problem(0)
    none = Found(*(values[:0] for values in found))
    score = resampled_ap(truth, match(truth, none, 3), 12, 3)
    assert score(np.ones(12, dtype=np.int64)) == {"AP": 0.0, "AP50": 0.0}
    assert np.isnan(score(np.zeros(12, dtype=np.int64))["AP"])
