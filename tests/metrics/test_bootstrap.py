"""Intervals and differences of resampled scores."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit, logit  # type: ignore[import-untyped]
from scipy.stats import t as student  # type: ignore[import-untyped]

from pocketvision.metrics import IoUMetric
from pocketvision.metrics.bootstrap import differences, intervals, resample
from pocketvision.metrics.iou import ResampledIoU


def test_iou_equals_that_of_repeated_images() -> None:
    random = np.random.default_rng(0)
    maps = random.integers(0, 3, (5, 2, 6, 7)).astype(np.uint8)
    metric, repeated_metric = IoUMetric(["a", None, "c"]), IoUMetric(["a", None, "c"])
    for i, (prediction, truth) in enumerate(maps):
        metric.update(prediction, truth, 10 + i)
    for i, image in enumerate([0, 0, 0, 3, 4]):
        repeated_metric.update(*maps[image], i)
    score = ResampledIoU(metric.per_image()[1], metric.class_names)
    assert score(np.array([3, 0, 0, 1, 1]))["mIoU"] == pytest.approx(repeated_metric.compute()["mIoU"])
    assert np.isnan(score(np.zeros(5, dtype=np.int64))["mIoU"])


class Mean:
    """The mean of a number an image."""

    def __init__(self, values: NDArray[np.float64]) -> None:
        self.num_images, self.values = len(values), values

    def __call__(self, weights: NDArray[np.int64]) -> dict[str, float]:
        return {"mean": float(weights @ self.values / weights.sum())}


def test_intervals_are_those_of_theory() -> None:
    """For a mean: Student's t times the standard error on both sides; logits are nearly straight there."""
    for num, quantile in ((400, 1.972), (12, 2.201)):
        values = np.random.default_rng(1).normal(0.5, 0.02, num)
        low, high = intervals(Mean(values), 2000)["mean"]
        error = quantile * values.std(ddof=1) / np.sqrt(num)
        assert low == pytest.approx(values.mean() - error, abs=0.06 * error)
        assert high == pytest.approx(values.mean() + error, abs=0.06 * error)
    assert intervals(Mean(values[:1])) == {}


def test_intervals_of_shares_are_those_of_a_logit_scale() -> None:
    """9 of 10: log-odds 2.2 with a standard error of 1 / sqrt(9 * .9 * .1)."""
    values = np.array([1.0] * 9 + [0.0])
    low, high = intervals(Mean(values), 4000)["mean"]
    margin = 2.262 / np.sqrt(9 * 0.9 * 0.1)
    expected = 1 / (1 + np.exp(-(np.log(9) + np.array([-margin, margin]))))
    assert [low, high] == pytest.approx(expected.tolist(), abs=0.02)
    assert 0 < low < 0.9 < high < 1


def test_thousands_of_images_are_left_out_in_groups() -> None:
    values, calls = np.random.default_rng(0).random(5000), []

    class Counted(Mean):
        def __call__(self, weights: NDArray[np.int64]) -> dict[str, float]:
            calls.append(int((weights == 0).sum()))
            return super().__call__(weights)

    low, high = intervals(Counted(values), 10)["mean"]
    assert len(calls) == 1 + 10 + 200 and calls[-1] == 25
    assert high - low == pytest.approx(2 * 1.972 * values.std() / np.sqrt(5000), rel=0.15)


class SquaredLength:
    """Of the mean of vectors: noise makes it longer, in resamples twice."""

    def __init__(self, values: NDArray[np.float64]) -> None:
        self.num_images, self.values = len(values), values

    def __call__(self, weights: NDArray[np.int64]) -> dict[str, float]:
        mean = weights @ self.values / weights.sum()
        return {"length": float(mean @ mean)}  # below 1 here


def test_intervals_are_corrected_for_the_bias_of_resamples() -> None:
    """As AP's, this score's resamples lie too high: uncorrected intervals hold the truth half the time."""
    random, num_held = np.random.default_rng(0), 0
    for _ in range(40):
        values = random.normal(0.2, 1, (50, 10))
        value = SquaredLength(values)(np.ones(50, dtype=np.int64))["length"]
        low, high = intervals(SquaredLength(values), 200)["length"]
        assert low <= value <= high
        num_held += low <= 0.4 <= high
    assert num_held >= 30


class Scripted:
    """Gives out prepared values, whatever is asked: of all images, of the resamples, of what is left out."""

    def __init__(self, num_images: int, *values: float) -> None:
        self.num_images, self.values = num_images, list(values)

    def __call__(self, weights: NDArray[np.int64]) -> dict[str, float]:
        return {"score": self.values.pop(0)}


@pytest.mark.parametrize(
    ("value", "samples", "without", "center"),
    [
        (0.4, [0.5, 0.4, 0.2, 0.38], [0.38, 0.41, 0.43], 0.43),  # a bias of -0.03
        (0.4, [0.41, 0.4, 0.39, 0.44], [0.3, 0.5, 0.36], 0.39),  # leaving out varies more
        (0.3, [0.6, 0.8, 0.62, 0.7], [0.3, 0.31, 0.29], 0.15),  # no more than half of it
        (0.6, [0.1, 0.2, 0.3, 0.0], [0.6, 0.61, 0.59], 0.8),  # nor of what is missing to 1
        (0.4, [0.5, 0.3, np.nan, 0.4], [np.nan, 0.41, 0.43], 0.4),  # undefined in two
        (0.5, [0.5], [0.4, 0.6], 0.5),  # two images
    ],
)
def test_intervals_of_known_resamples(
    value: float, samples: list[float], without: list[float], center: float
) -> None:
    num = len(without)
    found = intervals(Scripted(num, value, *samples, *without), len(samples))["score"]
    left = [x for x in without if not np.isnan(x)]
    errors = np.std(left) * np.sqrt(len(left) - 1), np.nanstd(samples) * np.sqrt(num / (num - 1))
    margin = student.ppf(0.975, len(left) - 1) * max(errors) / (center * (1 - center))
    low, high = expit(logit(center) - margin), expit(logit(center) + margin)
    assert found == pytest.approx((min(low, value), max(high, value)))


def test_intervals_where_there_is_no_logit() -> None:
    """Of 0, of 1 and with a single defined value left out, from resamples alone; all of [0, 1] at last."""
    assert intervals(Scripted(2, 1.0, 0.7, 1.0, 0.9, 1.0, 1.0), 3)["score"] == (0.7, 1.0)
    assert intervals(Scripted(2, 0.0, 0.2, 0.0, 0.1, 0.0, 0.0), 3)["score"] == (0.0, 0.2)
    assert intervals(Scripted(2, 0.5, 0.6, 0.7, 0.4, 0.5, np.nan), 3)["score"] == (0.4, 0.7)
    assert intervals(Scripted(2, 0.5, 0.6, 0.7, 0.55, 0.5, np.nan), 3)["score"] == (0.5, 0.7)
    assert intervals(Scripted(2, 0.5, 0.3, 0.4, 0.45, 0.5, np.nan), 3)["score"] == (0.3, 0.5)
    assert intervals(Scripted(2, 0.001, 0.001, 0.0, 1.0), 1)["score"] == (0.0, 1.0)


def test_a_thousand_resamples_unless_told() -> None:
    score = Scripted(3, *[0.5] * 1004)
    assert intervals(score)["score"] == pytest.approx((0.5, 0.5)) and not score.values


@pytest.mark.parametrize(
    ("gains", "p_value"),
    [([1, 2, 3, -1, np.nan], 0.8), ([1, 2, 3, 4], 0.4), ([-1, -2, 0, -3], 0.8), ([0, 0, 0, 0], 1.0)],
)
def test_differences_of_known_resamples(gains: list[float], p_value: float) -> None:
    num = len(gains)
    found = differences(Scripted(2, 0.5, *[0.0] * num), Scripted(2, 0.75, *gains), num)["score"]
    quantiles = np.nanquantile(gains, [0.025, 0.975])
    assert found == pytest.approx((0.25, *quantiles, p_value))


def test_intervals_of_what_never_varies_are_points() -> None:
    assert intervals(Mean(np.ones(9)), 50)["mean"] == (1, 1)
    assert intervals(Mean(np.full(9, 0.3)), 50)["mean"] == pytest.approx((0.3, 0.3))
    assert intervals(Mean(np.zeros(9)), 50)["mean"] == (0, 0)
    assert intervals(Mean(np.full(9, np.nan)), 50) == {}


@pytest.mark.parametrize("skill", [-0.45, 0.8])
def test_intervals_of_ap_hold_that_of_the_population(skill: float) -> None:
    """A small run of the benchmark; of quantiles of resamples 86 to 90 % did."""
    benchmark = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "intervals.py"))
    table = benchmark["population"](skill, 2, np.random.default_rng(0))
    row = benchmark["coverage"](table, 2, 24, 100, 60)
    assert row["covered"] >= 0.91 and max(row["below"], row["above"]) <= 0.07


def test_one_image_is_no_comparison() -> None:
    one, other = Mean(np.ones(1)), Mean(np.zeros(1))
    assert differences(one, other) == {} and differences(Mean(np.ones(0)), Mean(np.ones(0))) == {}


def test_resamples_are_repeatable() -> None:
    score = Mean(np.arange(9.0))
    assert np.array_equal(resample(score, 20, 3)["mean"], resample(score, 20, 3)["mean"])
    assert not np.array_equal(resample(score, 20, 3)["mean"], resample(score, 20, 4)["mean"])


def test_pairs_find_what_intervals_alone_do_not() -> None:
    """A small gain on every image is certain, however different the images are."""
    random = np.random.default_rng(2)
    values = random.normal(0.4, 0.1, 100)
    better = Mean(values + random.normal(0.003, 0.005, 100))
    gain = differences(Mean(values), better)["mean"]
    assert 0 < gain.low < gain.value < gain.high and gain.p_value < 0.01
    assert intervals(Mean(values))["mean"].high > intervals(better)["mean"].low
    same = differences(better, better)["mean"]
    assert (same.value, same.low, same.high, same.p_value) == (0, 0, 0, 1)


@pytest.mark.parametrize(("gain", "expected"), [(1.0, 0.317), (2.0, 0.0455), (-1.5, 0.134)])
def test_p_values_are_two_sided(gain: float, expected: float) -> None:
    """Of a mean difference of some standard errors, as of the normal distribution."""
    values = np.random.default_rng(0).normal(0, 1, 300)
    values = (values - values.mean()) / values.std() + gain / np.sqrt(300)
    found = differences(Mean(np.zeros(300)), Mean(values), 4000)["mean"]
    assert found.p_value == pytest.approx(expected, rel=0.12)
    assert found.high - found.low == pytest.approx(2 * 1.96 / np.sqrt(300), rel=0.06)


def test_p_values_are_small_as_often_as_they_say() -> None:
    """Two models of the same quality differ significantly in about a twentieth of the cases."""
    random = np.random.default_rng(3)
    num_small = 0
    for _ in range(60):
        a, b = random.normal(0, 1, (2, 60))
        num_small += differences(Mean(a), Mean(b), 100)["mean"].p_value < 0.05
    assert num_small <= 10
