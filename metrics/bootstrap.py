"""How far a score depends on which images were in the split: the bootstrap over images.

A resample draws as many images as there are, with replacement (B. Efron, 1979); it is a weight an image,
so nothing is predicted or matched again. Two models are compared on the same resamples.

AP of a resample is higher than that of its images more often than not: precision is a running maximum, and
a lucky image that is drawn twice counts at twice as many recalls. Intervals are corrected for that
(B. Efron, 1981): without it, those of 60 images held the AP of their population in 80 % of the cases.
"""

from __future__ import annotations

from collections.abc import Iterator
from statistics import NormalDist
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

NUM_RESAMPLES = 1000
LEVEL = 0.95
SEED = 0


class Resampled(Protocol):
    """A score as a function of how often each image was drawn."""

    num_images: int

    def __call__(self, weights: NDArray[np.int64]) -> dict[str, float]:
        """Metrics by name (NaN where undefined) for ``weights`` (N,)."""
        ...


class Interval(NamedTuple):
    """Bias-corrected percentile interval of a metric; it holds the metric itself."""

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
    """95 % intervals by metric; undefined metrics, and all of them below two images, are left out."""
    if score.num_images < 2:
        return {}
    whole = score(np.ones(score.num_images, dtype=np.int64))
    samples = resample(score, num_resamples, seed)
    return {
        name: _bias_corrected(samples[name][~np.isnan(samples[name])], value)
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


def _bias_corrected(samples: NDArray[np.float64], value: float) -> Interval:
    """The interval of resamples whose share below ``value`` may be another than a half."""
    normal = NormalDist()
    margin = normal.inv_cdf((1 + LEVEL) / 2)
    share = float((samples < value).mean() + (samples == value).mean() / 2)
    least = normal.cdf(-margin)
    bias = normal.inv_cdf(min(max(share, least), 1 - least))
    low, high = np.quantile(samples, [normal.cdf(2 * bias - margin), normal.cdf(2 * bias + margin)])
    return Interval(min(float(low), value), max(float(high), value))
