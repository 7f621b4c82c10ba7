"""A batch that goes through the model in parts, for there is no room for all of it at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from pocketvision.core.distributed import BatchParts
from pocketvision.core.errors import InputError


class Trained(Protocol):
    """What a task must offer: its loss in two steps, and what it counts."""

    model: Any

    def outputs(self, images: Tensor) -> Any: ...

    def losses_of(self, outputs: Any, targets: list[Any]) -> dict[str, Tensor]: ...

    def counts_of(self, outputs: Any, targets: list[Any]) -> list[Tensor] | None: ...


def num_accumulated(trainer: Mapping[str, Any]) -> int:
    """``accumulate_grad_batches`` of trainer options: parts of ``data.batch_size`` that make a batch.

    Raises:
        InputError: it is no whole number from 1 up.
    """
    number = trainer.get("accumulate_grad_batches") or 1
    if not isinstance(number, int) or number < 1:
        raise InputError(f"trainer.accumulate_grad_batches is {number!r}: give a whole number from 1 up.")
    return number


def num_parts(trainer: Mapping[str, Any]) -> int:
    """Parts of ``data.batch_size`` images that make an optimizer's step, in all processes together."""
    devices = trainer.get("devices", 1)
    if isinstance(devices, list):
        devices = len(devices)
    if devices in ("auto", "-1", -1):
        devices = 1 if trainer.get("accelerator") == "cpu" else torch.cuda.device_count()
    number = int(devices) if str(devices).isdigit() else 1  # what is none is refused by the trainer
    return num_accumulated(trainer) * max(1, number) * int(trainer.get("num_nodes", 1))


def split_batch(samples: Any, size: int) -> list[Any]:
    """Parts of at most ``size`` images."""
    images = samples.images.split(size)
    starts = range(0, len(samples.targets), size)
    return [
        samples._replace(images=part, targets=samples.targets[start : start + size])
        for part, start in zip(images, starts, strict=True)
    ]


def losses_in_parts(
    task: Trained, parts: list[Any], backward: Callable[[Tensor], Any]
) -> tuple[dict[str, Tensor], Tensor]:
    """Losses of a batch by name, and the sum of the last part's, whose ``backward`` is left to the caller.

    Gradients are those of the whole batch, but for BatchNorm, which sees the parts one by one.
    """
    if len(parts) == 1:
        losses = task.losses_of(task.outputs(parts[0].images), parts[0].targets)
        return losses, torch.stack(list(losses.values())).sum()
    (counted, outputs), num_images = _count(task, parts), sum(len(part.targets) for part in parts)
    sums: dict[str, Tensor] = {}
    for number, part in enumerate(parts, start=1):
        if number > 1:
            outputs = task.outputs(part.images)
        share = len(part.targets) / num_images
        with counted.training(share):
            found = task.losses_of(outputs, part.targets)
        losses = {name: loss * share for name, loss in found.items()}
        total = torch.stack(list(losses.values())).sum()
        if number < len(parts):
            backward(total)
        sums = {name: sums.get(name, 0.0) + loss.detach() for name, loss in losses.items()}
    return sums, total


def _count(task: Trained, parts: list[Any]) -> tuple[BatchParts, Any]:
    """What the losses of all parts count, and what the model makes of the first part."""
    counted = BatchParts()
    buffers = {name: buffer.clone() for name, buffer in task.model.named_buffers()}
    outputs = task.outputs(parts[0].images)
    of_parts = [task.counts_of(outputs, part.targets) for part in parts]
    said = [counts for counts in of_parts if counts is not None]
    for counts in said:
        counted.add(counts)
    if len(said) == len(parts):
        return counted, outputs
    _compute(task, parts, outputs, counted)
    del outputs  # with what its gradients would need
    _restore(task.model, buffers)  # BatchNorm is to see each image once
    return counted, task.outputs(parts[0].images)


@torch.no_grad()
def _compute(task: Trained, parts: list[Any], outputs: Any, counted: BatchParts) -> None:
    """Let the losses of all parts be counted by computing them; ``outputs`` are the first part's."""
    for number, part in enumerate(parts):
        if number > 0:
            outputs = task.outputs(part.images)
        with counted.counting():
            task.losses_of(outputs, part.targets)


def _restore(model: nn.Module, buffers: dict[str, Tensor]) -> None:
    for name, buffer in model.named_buffers():
        buffer.copy_(buffers[name])
