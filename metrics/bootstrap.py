"""How far a score depends on which images were in the split: the bootstrap over images.

A resample draws as many images as there are, with replacement (B. Efron, 1979); it is a weight an image,
so nothing is predicted or matched again. Two models are compared on the same resamples.

AP of a resample is higher than that of its images more often than not: precision is a running maximum, and
a lucky image that is drawn twice counts at twice as many recalls. And quantiles of resamples lie too close
together for few images. Intervals are therefore built from the resamples' bias and the larger standard error
of theirs and the jackknife's (B. Efron, 1981), on the logit scale, with Student's t: benchmarks/intervals.py
counts how often they hold the AP of the population.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

NUM_RESAMPLES = 1000
LEVEL = 0.95
SEED = 0
MAX_GROUPS = 200
"""Of images that the jackknife leaves out together: a data set of thousands takes no longer."""


class Resampled(Protocol):
    """A score as a function of how often each image was drawn."""

    num_images: int

    def __call__(self, weights: NDArray[np.int64]) -> dict[str, float]:
        """Metrics by name (NaN where undefined) for ``weights`` (N,)."""
        ...


class Interval(NamedTuple):
    """95 % interval of a metric; it holds the metric itself."""

    low: float
    high: float


class Difference(NamedTuple):
    """B minus A over the same images: the interval, and the share of resamples that contradict its sign."""

    value: float
    low: float
    high: float
    p_value: float


def resample(score: Resampled, num_resamples: int, seed: int = SEED) -> dict[str, NDArray[np.float64]]:
    """Metrics of resamples: name -> (num_resamples,)."""
    rows = [score(weights) for weights in _weights(score.num_images, num_resamples, seed)]
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def intervals(score: Resampled, num_resamples: int = NUM_RESAMPLES, seed: int = SEED) -> dict[str, Interval]:
    """95 % intervals by metric, of metrics in [0, 1].

    Undefined metrics, and all of them below two images, are left out.
    """
    if score.num_images < 2:
        return {}
    whole = score(np.ones(score.num_images, dtype=np.int64))
    samples, without = resample(score, num_resamples, seed), _jackknife(score, seed)
    return {
        name: _interval(value, samples[name], without[name], score.num_images)
        for name, value in whole.items()
        if not np.isnan(value)
    }


def differences(
    a: Resampled, b: Resampled, num_resamples: int = NUM_RESAMPLES, seed: int = SEED
) -> dict[str, Difference]:
    """B minus A by metric: paired, two-sided.

    Both must score the same images in the same order. ``p_value`` is twice the share of resamples in
    which the other model is at least as good, never below 2 / (num_resamples + 1). Undefined metrics,
    and all of them below two images, are left out.
    """
    if a.num_images < 2:
        return {}
    whole = np.ones(a.num_images, dtype=np.int64)
    first, second = a(whole), b(whole)
    of_a, of_b = resample(a, num_resamples, seed), resample(b, num_resamples, seed)
    result = {}
    for name in first:
        samples = of_b[name] - of_a[name]
        samples = samples[~np.isnan(samples)]
        if len(samples):
            tails = [(samples <= 0).sum(), (samples >= 0).sum()]
            p_value = min(1.0, 2 * (int(min(tails)) + 1) / (len(samples) + 1))
            low, high = np.quantile(samples, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
            result[name] = Difference(second[name] - first[name], float(low), float(high), p_value)
    return result


def _weights(num_images: int, num_resamples: int, seed: int) -> Iterator[NDArray[np.int64]]:
    random = np.random.default_rng(seed)
    for _ in range(num_resamples):
        yield np.bincount(random.integers(0, num_images, num_images), minlength=num_images)


def _jackknife(score: Resampled, seed: int) -> dict[str, NDArray[np.float64]]:
    """Metrics without one of up to ``MAX_GROUPS`` groups of images: name -> (num_groups,)."""
    order = np.random.default_rng(seed).permutation(score.num_images)
    rows = []
    for group in np.array_split(order, min(score.num_images, MAX_GROUPS)):
        weights = np.ones(score.num_images, dtype=np.int64)
        weights[group] = 0
        rows.append(score(weights))
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def _interval(
    value: float, samples: NDArray[np.float64], without: NDArray[np.float64], num_images: int
) -> Interval:
    """Of a metric, its resamples and its values without a group of images; both may hold NaN."""
    samples, without = samples[~np.isnan(samples)], without[~np.isnan(without)]
    if not 0 < value < 1 or len(without) < 2:
        return Interval(min(value, float(samples.min())), max(value, float(samples.max())))
    center = min(max(2 * value - float(samples.mean()), value / 2), (1 + value) / 2)
    error = max(
        float(without.std()) * math.sqrt(len(without) - 1),
        float(samples.std()) * math.sqrt(num_images / (num_images - 1)),
    )
    from scipy.special import stdtrit  # late: it takes as long as torch

    quantile = float(stdtrit(len(without) - 1, (1 + LEVEL) / 2))  # Student's t
    margin = quantile * error / (center * (1 - center))
    low, high = (_logistic(math.log(center / (1 - center)) + end) for end in (-margin, margin))
    return Interval(min(low, value), max(high, value))


def _logistic(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x > -700 else 0.0
