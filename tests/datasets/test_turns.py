"""Whose turn it is: shares hold at every step, and what a batch has depends on its number alone."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from pocketvision.datasets.sampling import EpochSampler
from pocketvision.datasets.turns import MixedSampler, Stream, TurnSampler, epoch_steps, mixture, take_turns


def streams(*sizes: int, batch_size: int = 2) -> list[Stream]:
    data: Any = [range(size) for size in sizes]
    return [Stream(EpochSampler(own, seed=3), batch_size) for own in data]


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.75, 0.25), (0.2, 0.3, 0.5)])
def test_shares_hold_at_every_step(shares: tuple[float, ...]) -> None:
    turns = take_turns(shares, 200)
    for number in range(1, 201):
        counts = Counter(turns[:number])
        for task, share in enumerate(shares):
            assert abs(counts[task] - share * number) <= 1


def test_an_epoch_shows_everything_at_least_once() -> None:
    both = streams(20, 7)
    shares = (0.5, 0.5)
    assert epoch_steps(shares, both) == 20  # 10 batches of the larger, 10 turns of the smaller
    sampler = TurnSampler(both, shares, 20)
    batches = list(sampler)
    assert len(batches) == len(sampler) == 20
    assert all(len(batch) == 2 and len({number for number, *_ in batch}) == 1 for batch in batches)
    seen = {index[2] for batch in batches for index in batch if index[0] == 0}
    assert seen == set(range(20))
    again = Counter(index[2] for batch in batches for index in batch if index[0] == 1)
    assert set(again) == set(range(7)) and max(again.values()) <= 4  # 3 whole batches an epoch of its own


def test_a_run_goes_on_with_the_batches_that_it_would_have_had() -> None:
    whole = TurnSampler(streams(10, 6), (0.6, 0.4), 9)
    first, second = list(whole), list(whole)
    assert first != second
    other = TurnSampler(streams(10, 6), (0.6, 0.4), 9)
    other.epoch, other.start = 1, 4
    assert list(other) == second[4:]
    other.set_epoch(0)
    assert list(other) == first


def test_a_set_smaller_than_a_batch_is_one_batch() -> None:
    (small,) = streams(3, batch_size=8)
    assert small.num_batches == 1 and sorted(index for _, index, *_ in small.batch(5)) == [0, 1, 2]


def test_a_mixed_batch_has_a_batch_of_each() -> None:
    pair = streams(12, 5)
    pair[0].batch_size = 4
    sampler = MixedSampler(pair, parts=2)
    batches = list(sampler)
    assert len(batches) == len(sampler) == 3  # 12 at 4 a batch, and at most 5 at 2 a batch
    assert [[index[0] for index in batch] for batch in batches] == [[0, 0, 1, 0, 0, 1]] * 3
    whole = list(MixedSampler(pair))
    assert [set(batch) for batch in MixedSampler(pair)] == [set(batch) for batch in batches] != whole
    seen = Counter(index[2] for batch in batches for index in batch if index[0] == 0)
    assert seen == Counter(range(12))


def test_a_run_goes_on_with_the_mixed_batches_that_it_would_have_had() -> None:
    whole = MixedSampler(streams(10, 6))
    first, second = list(whole), list(whole)
    assert len(first) == 5 and first != second
    other = MixedSampler(streams(10, 6))
    other.epoch, other.start = 1, 3
    assert list(other) == second[3:]
    other.set_epoch(0)
    assert list(other) == first


def test_a_mixture_is_as_near_to_the_shares_as_can_be() -> None:
    assert mixture((0.5, 0.5), 8) == [4, 4]
    assert mixture((0.75, 0.25), 8) == [6, 2]
    assert mixture((0.2, 0.3, 0.5), 16) == [3, 5, 8]
    assert mixture((0.25, 0.75), 2) == mixture((0.75, 0.25), 2) == [1, 1]
    with pytest.raises(
        ValueError, match=r"a share of 0.1 is no image: raise it, or the share in data.shares"
    ):
        mixture((0.9, 0.1), 4)
