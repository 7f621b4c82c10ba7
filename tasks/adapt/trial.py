"""Short trainings of a narrowed network on few images, and what they are judged by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer

from pocketvision.core.config import Experiment, apply_overrides, parameters
from pocketvision.core.errors import InputError
from pocketvision.core.structures import AnySamples
from pocketvision.datasets.data_module import AnyData
from pocketvision.models import VisionModel
from pocketvision.tasks.accumulation import losses_in_parts
from pocketvision.tasks.base import AnyTask

MAX_BATCHES = 24
"""Batches of training images that are kept in memory for short trainings."""

_PLAIN = {"guide": None, "teacher": None, "first_assigner": None, "first_epochs": 0}
"""Of a task: short trainings are by the truth alone, and not at a training's beginning."""


class TrialImages(NamedTuple):
    """Fixed training images: batches to learn from, and some that none of them has, to judge by."""

    batches: list[AnySamples]
    judged: list[AnySamples]


def trial_images(experiment: Experiment, data: AnyData, num_judged: int) -> TrialImages:
    """Draw them, seeded, from the training split; the validation split takes no part in the search.

    Raises:
        InputError: there are too few training images.
    """
    learned, judged = divide_images(experiment, data, num_judged)
    return TrialImages(batches_of(data, learned, train=True), batches_of(data, judged, train=True))


def divide_images(experiment: Experiment, data: AnyData, num_judged: int) -> tuple[list[int], list[int]]:
    """Numbers of training images to learn from and of others to judge by, whole batches of both.

    Raises:
        InputError: there are too few training images.
    """
    size = data.batch_size
    num_images = len(data.dataset(data.train_split, train=True))
    if num_images < 2 * size:
        raise InputError(
            f"There are {num_images} training images: this needs two batches, set data.batch_size lower."
        )
    order = np.random.default_rng(experiment.seed).permutation(num_images).tolist()
    num_judged = min(num_judged, num_images // 4) // size * size or size
    judged, rest = order[:num_judged], order[num_judged:]
    return rest[: min(MAX_BATCHES, len(rest) // size) * size], judged


def batches_of(data: AnyData, indices: Sequence[int], *, train: bool) -> list[AnySamples]:
    """Training images as batches; augmented if ``train``."""
    size = data.batch_size
    return [
        data.batch(data.train_split, indices[i : i + size], train=train) for i in range(0, len(indices), size)
    ]


class Trials:
    """Trains and judges models of one experiment.

    ``lr_share`` is the part of the recipe's learning rate that short trainings have.
    """

    def __init__(self, experiment: Experiment, images: TrialImages, lr_share: float = 0.25) -> None:
        known = parameters(experiment.task)
        plain = {f"task.{name}": value for name, value in _PLAIN.items() if name in known}
        self.experiment = apply_overrides(experiment, plain)
        self.images = images
        self.lr_share = lr_share
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def loss(self, model: VisionModel, num_batches: int | None = None) -> float:
        """The mean loss on the images to judge by, normalized by their own statistics.

        Running ones lag behind in a network that has just been narrowed.
        """
        task = self.task(model)
        momenta = {norm: norm.momentum for norm in task.modules() if isinstance(norm, nn.BatchNorm2d)}
        for norm in momenta:
            norm.momentum = 0.0  # nothing is learned from these images
        try:
            with torch.no_grad():
                losses = [self._loss(task, batch).item() for batch in self.images.judged[:num_batches]]
        finally:
            for norm, momentum in momenta.items():
                norm.momentum = momentum
        return float(np.mean(losses))

    def tune(self, model: VisionModel, num_steps: int, place: tuple[int, ...]) -> None:
        """Train a few steps at a constant rate, seeded by ``place``, which is where in the search it is."""
        task = self.task(model)
        optimizer = self.optimizer(task)
        for step in range(num_steps):
            loss = self.training_loss(task, (*place, step), place[0] * num_steps + step)
            if not torch.isfinite(loss):
                optimizer.zero_grad()
                continue
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            optimizer.zero_grad()

    def task(self, model: VisionModel) -> AnyTask:
        """The task in training, on the device."""
        task: AnyTask = self.experiment.task(model=model)
        return task.to(self.device).train()

    def optimizer(self, task: AnyTask) -> Optimizer:
        """The recipe's optimizer, at the constant rate of short trainings."""
        optimizer = task.optimizer(task.parameter_groups())
        share = self.lr_share * self.images.batches[0].images.shape[0] / task.reference_batch
        for group in optimizer.param_groups:
            group["lr"] *= group.pop("lr_factor") * share
        return optimizer

    def training_loss(self, task: AnyTask, place: Sequence[int], number: int) -> torch.Tensor:
        """The loss on the training batch ``number``, which repeat; its randomness is seeded by ``place``."""
        key = (self.experiment.seed, *place)
        torch.manual_seed(int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> 1))
        return self._loss(task, self.images.batches[number % len(self.images.batches)])

    def _loss(self, task: AnyTask, samples: AnySamples) -> torch.Tensor:
        from lightning.fabric.utilities import move_data_to_device

        return losses_in_parts(task, [move_data_to_device(samples, self.device)], torch.Tensor.backward)[1]
