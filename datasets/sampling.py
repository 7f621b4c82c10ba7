"""Order and randomness of an epoch, which depend on (seed, epoch, index) and on nothing else."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import cv2
import numpy as np
import numpy.typing as npt
from torch.utils.data import Dataset, Sampler
from torch.utils.data.distributed import DistributedSampler

from pocketvision.core.distributed import num_processes, process_index
from pocketvision.core.processes import end_without_shared_memory, leave_signals_to_parent

EpochIndex = tuple[int, int] | tuple[int, int, int]
"""(epoch, index of the sample), and how often it was drawn in the epoch before, where that is not 0."""
Factors = npt.NDArray[np.float64]
"""(N,): how often an epoch draws each sample, in the mean of many epochs."""


class EpochSampler(DistributedSampler[Any]):
    """Shuffles with (seed, epoch) and yields (epoch, index), so that workers that persist know the epoch.

    With ``repeats`` an epoch is :func:`num_drawn` samples, some of them several times: see :func:`drawn`.
    ``groups`` gives the numbers (N,) of the samples' groups in an epoch: shuffled, one group after the other.

    Every ``iter()`` begins the next epoch unless ``set_epoch`` said which one. Each of several
    processes gets its share: Lightning leaves a DistributedSampler as it is.

    ``start`` is how many of this process's samples the next epoch leaves out, where a run goes on.
    """

    start = 0

    def __init__(
        self,
        dataset: Dataset[Any],
        seed: int = 0,
        repeats: Factors | None = None,
        groups: Callable[[int], npt.NDArray[np.int64] | None] = lambda epoch: None,
    ) -> None:
        self.repeats, self.groups = repeats, groups
        places: Any = dataset if repeats is None else range(num_drawn(repeats))
        super().__init__(places, num_replicas=num_processes(), rank=process_index(), seed=seed)

    def __iter__(self) -> Iterator[EpochIndex]:
        epoch, places = self.epoch, list(super().__iter__())
        of_place = None if self.repeats is None else drawn(self.repeats, self.seed, epoch)

        def sample(place: int) -> tuple[int, ...]:
            return (place,) if of_place is None else of_place[place]

        groups = self.groups(epoch)
        if groups is not None:
            places.sort(key=lambda place: int(groups[sample(place)[0]]))  # stable: the rest stays shuffled
        places = places[self.start :]
        self.epoch += 1
        self.start = 0
        return (cast(EpochIndex, (epoch, *sample(place))) for place in places)


def num_drawn(repeats: Factors) -> int:
    """Samples of an epoch, the same in each: the sum of the factors, rounded up."""
    return math.ceil(float(repeats.sum()) - 1e-6)


def drawn(repeats: Factors, seed: int, epoch: int) -> list[tuple[int] | tuple[int, int]]:
    """What an epoch draws, in no order: (index,), and (index, times before) from the second time on.

    A sample is drawn as often as its factor's whole part, and once more with the probability of the rest
    (arXiv:1908.03195, sec. 4.2). One uniform number decides for all, in an order that is shuffled anew
    (systematic sampling), so that the total differs from the factors' sum by less than 1; where it is the
    smaller one, a sample at random fills the last place.
    """
    rng = np.random.default_rng((seed, epoch, len(repeats)))
    order = rng.permutation(len(repeats))
    whole = np.floor(repeats)
    until = np.floor(np.cumsum((repeats - whole)[order]) + rng.random()).astype(np.int64)
    counts = whole.astype(np.int64)
    counts[order] += np.diff(until, prepend=0)
    while counts.sum() < num_drawn(repeats):
        counts[rng.integers(len(counts))] += 1
    each = [(i, time) for i, count in enumerate(counts.tolist()) for time in range(count)]
    return [(i, time) if time else (i,) for i, time in each[: num_drawn(repeats)]]


def num_epochs(steps_per_epoch: int, max_epochs: int | None, max_steps: int | None) -> int | None:
    """Epochs that a run begins; None if nothing limits it. None and -1 are no limit."""
    limits = [max_epochs or -1, math.ceil((max_steps or -1) / steps_per_epoch)]
    return min((limit for limit in limits if limit > 0), default=None)


class ProcessShare(Sampler[int]):
    """The samples of this process in order: every one in exactly one process, none twice.

    Those of one picture, by its number in ``pictures`` (N,), are in the same process.
    """

    def __init__(self, num_samples: int, pictures: npt.NDArray[np.int64] | None = None) -> None:
        self.indices: Sequence[int] = range(process_index(), num_samples, num_processes())
        if pictures is not None:
            self.indices = np.flatnonzero(pictures % num_processes() == process_index()).tolist()

    def __iter__(self) -> Iterator[int]:
        return iter(self.indices)

    def __len__(self) -> int:
        return len(self.indices)


def sample_rng(seed: int, epoch: int, index: int, time: int = 0) -> np.random.Generator:
    """Randomness of one sample in one epoch, in whichever worker; another each ``time`` it is drawn."""
    return np.random.default_rng((seed, epoch, index, time + 1) if time else (seed, epoch, index))


def use_one_thread(worker: int) -> None:
    """``worker_init_fn``: the workers are the parallelism; OpenCV's threads would fight over the cores.

    A signal to the whole group is for the process that trains.
    """
    cv2.setNumThreads(0)
    leave_signals_to_parent()
    end_without_shared_memory()
