"""Order and randomness of an epoch, which depend on (seed, epoch, index) and on nothing else."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
from torch.utils.data import Dataset, Sampler
from torch.utils.data.distributed import DistributedSampler

from pocketvision.core.distributed import num_processes, process_index
from pocketvision.core.processes import end_without_shared_memory, leave_signals_to_parent

EpochIndex = tuple[int, int]
"""(epoch, index of the sample)."""


class EpochSampler(DistributedSampler[Any]):
    """Shuffles with (seed, epoch) and yields (epoch, index), so that workers that persist know the epoch.

    Every ``iter()`` begins the next epoch unless ``set_epoch`` said which one. Each of several
    processes gets its share: Lightning leaves a DistributedSampler as it is.

    ``start`` is how many of this process's samples the next epoch leaves out, where a run goes on.
    """

    start = 0

    def __init__(self, dataset: Dataset[Any], seed: int = 0) -> None:
        super().__init__(dataset, num_replicas=num_processes(), rank=process_index(), seed=seed)

    def __iter__(self) -> Iterator[EpochIndex]:
        epoch, indices = self.epoch, list(super().__iter__())[self.start :]
        self.epoch += 1
        self.start = 0
        return ((epoch, index) for index in indices)


def num_epochs(steps_per_epoch: int, max_epochs: int | None, max_steps: int | None) -> int | None:
    """Epochs that a run begins; None if nothing limits it. None and -1 are no limit."""
    limits = [max_epochs or -1, math.ceil((max_steps or -1) / steps_per_epoch)]
    return min((limit for limit in limits if limit > 0), default=None)


class ProcessShare(Sampler[int]):
    """The samples of this process in order: every one in exactly one process, none twice."""

    def __init__(self, num_samples: int) -> None:
        self.indices = range(process_index(), num_samples, num_processes())

    def __iter__(self) -> Iterator[int]:
        return iter(self.indices)

    def __len__(self) -> int:
        return len(self.indices)


def sample_rng(seed: int, epoch: int, index: int) -> np.random.Generator:
    """Randomness of one sample in one epoch, the same in whichever worker."""
    return np.random.default_rng((seed, epoch, index))


def use_one_thread(worker: int) -> None:
    """``worker_init_fn``: the workers are the parallelism; OpenCV's threads would fight over the cores.

    A signal to the whole group is for the process that trains.
    """
    cv2.setNumThreads(0)
    leave_signals_to_parent()
    end_without_shared_memory()
