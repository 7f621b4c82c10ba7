"""Sums over the processes of a training; with one process they change nothing."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed, nn


def num_processes() -> int:
    """Processes that train together."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def process_index() -> int:
    """Rank of this process, from 0."""
    return distributed.get_rank() if num_processes() > 1 else 0


def joint_normalizer(count: Tensor) -> Tensor:
    """What a process divides its summed loss by, so that averaged gradients are those of the joint batch.

    ``count`` () is what this process has summed over; the result is the sum over all processes,
    divided by their number, or 1 where there was nothing anywhere. Every process must call it.
    """
    total = count.detach().float()
    if num_processes() > 1:
        distributed.all_reduce(total)
    return torch.where(total > 0, total / num_processes(), 1.0)


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
