"""An epoch in which labeled pictures keep their share of every batch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from torch.utils.data import Dataset

from pocketvision.datasets.sampling import EpochIndex, EpochSampler, Factors
from pocketvision.datasets.turns import take_turns


def shared_factors(labeled: Factors, num_pseudo: int, share: float) -> Factors:
    """Factors (N + M,): labeled samples as in ``labeled`` (N,), of M others what leaves them ``share``."""
    each = labeled.sum() * (1 - share) / share / num_pseudo
    return np.concatenate((labeled, np.full(num_pseudo, each)))


class SharedSampler(EpochSampler):
    """Labeled samples and others take turns, so that each batch has as many labeled ones as the next, +-1.

    ``is_pseudo`` (N,) says which samples are the others; ``repeats`` how often an epoch draws each.
    """

    def __init__(
        self, dataset: Dataset[Any], seed: int, repeats: Factors, is_pseudo: npt.NDArray[np.bool_]
    ) -> None:
        super().__init__(dataset, seed, repeats)
        self.is_pseudo = is_pseudo

    def __iter__(self) -> Iterator[EpochIndex]:
        start, self.start = self.start, 0
        drawn = list(super().__iter__())
        kinds = [[key for key in drawn if bool(self.is_pseudo[key[1]]) == kind] for kind in (False, True)]
        waiting = [iter(keys) for keys in kinds]
        turns = take_turns([len(keys) / max(1, len(drawn)) for keys in kinds], len(drawn))
        return iter([next(waiting[turn]) for turn in turns][start:])
