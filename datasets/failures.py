"""Samples that can't be loaded: named, counted over all workers, and left out up to a limit."""

from __future__ import annotations

import logging

import torch

from pocketvision.core.errors import InputError

SHARE = 0.01
"""Of a training set that may be unreadable before training stops; one sample always may."""

_log = logging.getLogger("pocketvision")


class FailedSampleError(InputError):
    """Sample ``index`` can't be loaded; raised where that is not the sample that was asked for."""

    def __init__(self, message: str, index: int) -> None:
        super().__init__(message)
        self.index = index


class FailedSamples:
    """Which of ``num_samples`` failed, in memory that all loader workers share."""

    def __init__(self, num_samples: int, *, strict: bool = False) -> None:
        self.is_failed = torch.zeros(num_samples, dtype=torch.uint8)
        self.is_failed.share_memory_()  # type: ignore[no-untyped-call]
        self.limit = 0 if strict else min(max(1, int(num_samples * SHARE)), num_samples - 1)

    @property
    def count(self) -> int:
        return int(self.is_failed.sum())

    def add(self, index: int, error: InputError) -> None:
        """Note that sample ``index`` failed, and log it the first time.

        Raises:
            InputError: there are now more than the limit; the first error itself if the limit is 0.
        """
        if self.is_failed[index]:
            return
        self.is_failed[index] = 1
        if self.limit == 0:
            raise InputError(str(error))
        count, total = self.count, len(self.is_failed)
        if count > self.limit:
            raise InputError(
                f"{count} of {total} training samples can't be loaded, and {self.limit} may be left out; "
                f"repair the data, which check-data looks through. The last one: {error}"
            )
        _log.warning("left out, %d of at most %d (of %d samples): %s", count, self.limit, total, error)
