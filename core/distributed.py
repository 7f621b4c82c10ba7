"""Sums over the processes of a training; with one process they change nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor, distributed, nn


def num_processes() -> int:
    """Processes that train together."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def process_index() -> int:
    """Rank of this process, from 0."""
    return distributed.get_rank() if num_processes() > 1 else 0


def joint_normalizer(count: Tensor, least: float = 0.0) -> Tensor:
    """What a process divides its summed loss by, so that averaged gradients are those of the joint batch.

    ``count`` () is what this process has summed over; the result is the sum over all processes, and
    at least ``least``, divided by their number, or 1 where there was nothing anywhere. Every process
    must call it.

    Where a batch is trained on in parts, :class:`BatchParts` answers for all of it.
    """
    parts = _PARTS.get()
    if parts is not None:
        return parts.normalizer(count.detach().float(), least)
    return _divisor(_joint(count.detach().float()), least)


def _divisor(joint: Tensor, least: float) -> Tensor:
    """What to divide by: the mean of counts over all processes, whose sum counts as ``least`` at least."""
    total = joint.clamp(min=least / num_processes())
    return torch.where(total > 0, total, 1.0)


def _joint(count: Tensor) -> Tensor:
    """Mean of ``count`` over all processes."""
    if num_processes() > 1:
        count = count.clone()
        distributed.all_reduce(count)
    return count / num_processes()


class BatchParts:
    """What the parts of a batch are normalized by, so that together they train what it would as a whole.

    First the counts of all parts are added up: a loss says them (``add``), or is computed inside
    ``counting`` for the sake of what it asks for. Then the loss of every part is computed inside
    ``training``, where it is normalized as if the part had its share of the batch's counts: the losses of
    parts, weighed by their shares, add up to the batch's. A loss that is a mean over images asks for
    nothing and is right by its weight alone.
    """

    def __init__(self) -> None:
        self._counts: list[Tensor] = []
        self._joint: list[Tensor] | None = None
        self._share = 0.0
        self._asked = 0

    def add(self, counts: Sequence[Tensor]) -> None:
        """Add the counts of one part, in the order in which its loss asks for them."""
        self._asked = 0
        for count in counts:
            self.normalizer(count.float())

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Add up what the loss of one part asks for."""
        with self._answering():
            yield

    @contextmanager
    def training(self, share: float) -> Iterator[None]:
        """Normalize the loss of a part that has ``share`` of the images. Every process must do so alike."""
        if self._joint is None:
            self._joint = [_joint(count) for count in self._counts]
        self._share = share
        with self._answering():
            yield

    def normalizer(self, count: Tensor, least: float = 0.0) -> Tensor:
        """The answer to the next question of a loss; questions come in the same order for every part."""
        number = self._asked
        self._asked += 1
        if self._joint is not None:
            if number >= len(self._joint):
                raise ValueError("a loss is normalized by more than its method counts says: add it there.")
            return _divisor(self._joint[number], least) * self._share
        if number == len(self._counts):
            self._counts.append(count)
        else:
            self._counts[number] = self._counts[number] + count
        return torch.ones_like(count)

    @contextmanager
    def _answering(self) -> Iterator[None]:
        self._asked = 0
        token = _PARTS.set(self)
        try:
            yield
        finally:
            _PARTS.reset(token)


_PARTS: ContextVar[BatchParts | None] = ContextVar("parts", default=None)


def mean_over_processes(values: Tensor) -> Tensor:
    """Mean of equal shapes over all processes, without gradients. Every process must call it."""
    mean = values.detach().clone()
    if num_processes() > 1:
        distributed.all_reduce(mean)
        mean /= num_processes()
    return mean


def any_process(flag: bool, device: torch.device) -> bool:
    """Whether ``flag`` is set in any process. Every process must call it."""
    if num_processes() == 1:
        return flag
    votes = torch.tensor(float(flag), device=device)
    distributed.all_reduce(votes)
    return bool(votes > 0)


def max_over_processes(value: int, device: torch.device) -> int:
    """The largest ``value`` that a process has. Every process must call it."""
    if num_processes() == 1:
        return value
    largest = torch.tensor(value, device=device)
    distributed.all_reduce(largest, distributed.ReduceOp.MAX)
    return int(largest)


def share_buffers(model: nn.Module) -> None:
    """Give every process the first one's buffers: BatchNorm's statistics. Every process must call it."""
    if num_processes() > 1:
        for buffer in model.buffers():
            distributed.broadcast(buffer, src=0)


def merge_processes(metric: Any) -> None:
    """Add to ``metric`` what the metrics of all other processes counted. Every process must call it."""
    metrics: list[Any] = [None] * num_processes()
    if num_processes() > 1:
        distributed.all_gather_object(metrics, metric)
    for rank, other in enumerate(metrics):
        if rank != process_index() and other is not None:
            metric.merge(other)
