"""Order and randomness of an epoch, which depend on (seed, epoch, index) and on nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import torch.distributed
from torch.utils.data import Dataset
from torch.utils.data.distributed import DistributedSampler

EpochIndex = tuple[int, int]
"""(epoch, index of the sample)."""


class EpochSampler(DistributedSampler[Any]):
    """Shuffles with (seed, epoch) and yields (epoch, index), so that workers that persist know the epoch.

    Every ``iter()`` begins the next epoch unless ``set_epoch`` said which one. Each of several
    processes gets its share: Lightning leaves a DistributedSampler as it is.
    """

    def __init__(self, dataset: Dataset[Any], seed: int = 0) -> None:
        parallel = torch.distributed.is_available() and torch.distributed.is_initialized()
        super().__init__(
            dataset,
            num_replicas=torch.distributed.get_world_size() if parallel else 1,
            rank=torch.distributed.get_rank() if parallel else 0,
            seed=seed,
        )

    def __iter__(self) -> Iterator[EpochIndex]:
        epoch, indices = self.epoch, super().__iter__()
        self.epoch += 1
        return ((epoch, index) for index in indices)


def sample_rng(seed: int, epoch: int, index: int) -> np.random.Generator:
    """Randomness of one sample in one epoch, the same in whichever worker."""
    return np.random.default_rng((seed, epoch, index))


def use_one_thread(worker: int) -> None:
    """``worker_init_fn``: the workers are the parallelism; OpenCV's threads would fight over the cores."""
    cv2.setNumThreads(0)
