"""Top-1 and top-5 against brute force, and what is undefined."""

from __future__ import annotations

import numpy as np
import pytest

from pocketvision.core.errors import InputError
from pocketvision.metrics import AccuracyMetric
from pocketvision.metrics.accuracy import ResampledAccuracy

NAMES = tuple("abcdefgh")


def filled(ranked: np.ndarray, labels: np.ndarray, names: tuple[str | None, ...] = NAMES) -> AccuracyMetric:
    metric = AccuracyMetric(names)
    for row, label in zip(ranked.tolist(), labels.tolist(), strict=True):
        metric.update(row[:5], label)
    return metric


def draw(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return np.argsort(rng.random((count, len(NAMES))), axis=1), rng.integers(0, len(NAMES) - 1, count)


def test_shares_equal_brute_force() -> None:
    ranked, labels = draw(300, 0)
    found = filled(ranked, labels).compute()
    assert found["top1"] == np.mean(ranked[:, 0] == labels)
    assert found["top5"] == np.mean([label in row[:5] for row, label in zip(ranked, labels, strict=True)])
    assert found["num_images"] == 300
    for i, name in enumerate(NAMES[:-1]):
        own = labels == i
        expected = {"top1": np.mean(ranked[own, 0] == i), "num_images": own.sum()}
        assert found["per_class"][name] == expected
    assert found["per_class"]["h"] == {"top1": None, "num_images": 0}


def test_shards_merge() -> None:
    ranked, labels = draw(60, 1)
    whole, first, second = (filled(ranked[p], labels[p]) for p in (slice(60), slice(25), slice(25, 60)))
    first.merge(second)
    assert first.compute() == whole.compute()
    with pytest.raises(InputError, match="same classes"):
        first.merge(AccuracyMetric(("a",)))


@pytest.mark.parametrize(("num_classes", "is_defined"), [(2, False), (5, False), (6, True)])
def test_top5_needs_more_than_five_classes(num_classes: int, is_defined: bool) -> None:
    names = (None, *NAMES[:num_classes])
    found = filled(np.array([[1, 2, 0, 3, 4]]), np.array([2]), names).compute()
    assert (found["top5"] == 1.0) if is_defined else (found["top5"] is None)
    assert found["top1"] == 0.0 and set(found["per_class"]) == set(NAMES[:num_classes])


def test_no_images() -> None:
    found = AccuracyMetric(NAMES).compute()
    assert found["top1"] is None and found["top5"] is None and found["num_images"] == 0


@pytest.mark.parametrize("label", [-1, 8])
def test_unknown_label(label: int) -> None:
    with pytest.raises(InputError, match=f"label {label}"):
        AccuracyMetric(NAMES).update([0], label)


def test_weights_count_images_more_than_once() -> None:
    random = np.random.default_rng(2)
    right, weights = random.random(40) < 0.6, random.integers(0, 4, 40)
    found = ResampledAccuracy(right)(weights)["top1"]
    assert found == pytest.approx(np.repeat(right, weights).mean())
    assert np.isnan(ResampledAccuracy(right)(np.zeros(40, dtype=np.int64))["top1"])
