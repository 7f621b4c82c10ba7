"""Thresholds against plain counting."""

from __future__ import annotations

import numpy as np
import pytest

from pocketvision.metrics.coco_matching import Matches
from pocketvision.tasks.unlabelled.thresholds import (
    FREQUENCY_SHARE,
    MIN_BOXES,
    OPEN_SHARE,
    label_thresholds,
    nth_score,
    precise_threshold,
)


def matches_of(rows: list[tuple[int, float, bool]], num_boxes: tuple[int, ...] = (9, 9)) -> Matches:
    """Matches of (class, score, whether it is right), in any order."""
    rows = sorted(rows, key=lambda row: (row[0], -row[1]))
    categories, scores, hits = (np.array(column) for column in zip(*rows, strict=True))
    num = len(rows)
    return Matches(
        np.zeros(num, np.int32), categories.astype(np.int32), scores, np.zeros(num, np.uint8),
        hits.astype(np.uint64), np.ones(num, np.uint64), np.full(num, -1, np.int32),
        np.arange(num, dtype=np.int32), np.repeat(np.array(num_boxes)[:, None], 4, axis=1),
    )  # fmt: skip


def drawn(seed: int, num: int = 60) -> list[tuple[int, float, bool]]:
    """Boxes of two classes that are right as often as their score says, with equal scores among them."""
    rng = np.random.default_rng(seed)
    scores = rng.integers(1, 40, num) / 40
    return [(int(rng.integers(2)), float(s), bool(rng.random() < s)) for s in scores]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("precision", [0.6, 0.9])
def test_it_is_the_lowest_score_of_the_precision(seed: int, precision: float) -> None:
    rows = drawn(seed)
    for category in range(2):
        own = [(score, is_right) for kind, score, is_right in rows if kind == category]
        good = []
        for threshold in {score for score, _ in own}:
            above = [is_right for score, is_right in own if score >= threshold]
            if sum(above) >= MIN_BOXES and sum(above) >= precision * len(above):
                good.append(threshold)
        expected = min(good) if good else np.inf
        assert precise_threshold(matches_of(rows), category, precision) == expected


def test_a_class_with_too_few_boxes_goes_by_its_frequency() -> None:
    rows = [(0, 0.5 + i / 100, True) for i in range(MIN_BOXES)] + [(1, 0.9, True), (2, 0.9, False)]
    scores = {name: np.linspace(0, 1, 101) for name in ("many", "few", "bad", "new", "none")}
    expected = {"many": 1, "few": 20, "bad": 20, "new": 40, "none": 0}
    found = label_thresholds(matches_of(rows, (9, 4, 9)), ("many", "few", "bad"), scores, expected)
    assert found["many"].sure == found["many"].unsure == 0.5 and "precision" in found["many"].rule
    for name in ("few", "new"):
        assert (scores[name] >= found[name].sure).sum() == FREQUENCY_SHARE * expected[name]
        assert (scores[name] >= found[name].unsure).sum() == OPEN_SHARE * expected[name]
        assert "frequency" in found[name].rule
    assert found["none"].sure == found["none"].unsure == np.inf
    assert found["bad"].sure == np.inf and (scores["bad"] >= found["bad"].unsure).sum() == OPEN_SHARE * 20


def test_the_nth_score() -> None:
    assert nth_score(np.array([0.1, 0.9, 0.5]), 2) == 0.5
    assert nth_score(np.array([0.1, 0.9, 0.5]), 7) == 0.1
    assert nth_score(np.array([]), 7) == np.inf
