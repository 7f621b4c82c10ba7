"""Aging evolution: it follows from the history alone, and finds more than random search where order helps."""

from __future__ import annotations

from pathlib import Path

import pytest

from pocketvision.backbones import mobilenet_v3_small
from pocketvision.core.errors import InputError
from pocketvision.tasks.searching.evolution import (
    HISTORY,
    Evolution,
    Reward,
    Scored,
    best_below,
    explore,
    read_history,
    write_table,
)
from pocketvision.tasks.searching.space import Candidate, SearchSpace


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    return SearchSpace(mobilenet_v3_small(out_features=("c4",)))


def score(candidate: Candidate) -> float:
    """Wide stages with gates are better."""
    return sum(0.1 * one.out + 0.05 * one.squeeze + 0.02 * one.expansion for one in candidate)


def seconds(candidate: Candidate) -> float:
    return 1e-3 * sum(one.out + one.expansion + 0.1 * one.kernel_size for one in candidate)


def test_five_percent_more_score_are_worth_twice_the_time() -> None:
    reward = Reward(0.01, beyond=-0.07)
    assert reward(0.5, 0.01) == 0.5
    assert reward(0.525, 0.02) == pytest.approx(0.5, rel=1e-2)
    assert Reward(0.01, -0.15, -0.15)(0.5, 0.02) < reward(0.5, 0.02) < 0.5
    assert Reward(0.01)(0.5, 0.02) == 0.25 and Reward(0.01)(0.5, 0.005) == reward(0.5, 0.005) > 0.5


def test_evolution_finds_more_than_random_search_of_equal_cost(space: SearchSpace, tmp_path: Path) -> None:
    reward, best = Reward(0.005, beyond=-0.07), {}
    for seed in range(3):
        for population in (16, 60):
            folder = tmp_path / f"{seed}_{population}"
            folder.mkdir()
            rows = explore(Evolution(space, seed, population), 60, score, seconds, reward, folder)
            assert len({row.candidate for row in rows}) == 60
            best[seed, population] = max(row.reward for row in rows)
        assert best[seed, 16] > best[seed, 60]


def test_a_search_that_was_killed_goes_on_as_it_would_have(space: SearchSpace, tmp_path: Path) -> None:
    reward, evolution = Reward(0.005), Evolution(space, 3, 4, 2)
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    whole.mkdir()
    cut.mkdir()
    rows = explore(evolution, 9, score, seconds, reward, whole)
    scored = 0

    def killed(candidate: Candidate) -> float:
        nonlocal scored
        scored += 1
        if scored > 6:
            raise KeyboardInterrupt
        return score(candidate)

    with pytest.raises(KeyboardInterrupt):
        explore(evolution, 9, killed, seconds, reward, cut)
    assert read_history(cut / HISTORY) == rows[:6]
    assert explore(evolution, 9, score, seconds, reward, cut) == rows
    assert (cut / HISTORY).read_bytes() == (whole / HISTORY).read_bytes()
    write_table(cut / "candidates.csv", rows)
    assert len((cut / "candidates.csv").read_text().splitlines()) == 10


def test_the_best_is_not_slower_than_asked_if_any_is_not(space: SearchSpace) -> None:
    some = Evolution(space).next([])
    rows = [Scored(some, 0.5, 0.02, 0.45), Scored(some, 0.4, 0.01, 0.4), Scored(some, 0.3, 0.005, 0.3)]
    assert best_below(rows, 0.01) == rows[1]
    assert best_below(rows, 0.001) == rows[0]


def test_a_broken_history_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / HISTORY).write_text('[{"stages": [{"out": 1}]}]')
    with pytest.raises(InputError, match="broken"):
        read_history(tmp_path / HISTORY)
