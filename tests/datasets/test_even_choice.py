"""Indices from the first image to the last."""

from __future__ import annotations

from pocketvision.datasets.even_choice import first_to_last, spread, spread_at_random


def test_spread() -> None:
    assert spread(10, 5) == [0, 2, 4, 6, 8]
    assert spread(3, 5) == [0, 1, 2]
    assert spread(0, 5) == []


def test_first_to_last() -> None:
    assert first_to_last(10, 4) == [0, 3, 6, 9]
    assert first_to_last(11, 4) == [0, 3, 6, 10]
    assert first_to_last(3, 4) == [0, 1, 2]


def test_one_of_each_stretch() -> None:
    assert spread_at_random(3, 64) == [0, 1, 2]
    chosen = spread_at_random(1000, 10)
    assert chosen == spread_at_random(1000, 10) and [index // 100 for index in chosen] == list(range(10))
    assert chosen != spread_at_random(1000, 10, seed=1)
