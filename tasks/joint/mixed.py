"""What learns from a batch that has images of several tasks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor, nn

from pocketvision.core.distributed import mean_over_processes
from pocketvision.models import JointModel
from pocketvision.tasks.joint.weighed import Weighed

MEASURED_EVERY = 8
"""Steps between two measurements of the tasks' gradients, each a pass back through the backbone."""


@dataclass
class Mixed:
    """The tasks of a ``model``, each on its images of a batch, where ``tasks`` says whose each is.

    The backbone sees all images as one batch, so that its BatchNorms normalize in training by what they
    normalize by afterwards: statistics of all tasks' images. Each head sees those of its task.

    If ``measures``, it says the norm of every task's gradient on the backbone (``norms``), of the whole batch
    in all processes. Gradients are computed from losses times ``loss_scale``, as 16 bits need it.
    """

    parts: dict[str, Weighed]
    tasks: list[str]
    model: JointModel
    measures: bool = False
    loss_scale: float = 1.0
    _gradients: dict[str, Tensor] = field(default_factory=dict)

    def outputs(self, images: Tensor) -> dict[str, Any]:
        """As each task has them, of its images."""
        images = images.to(memory_format=torch.channels_last)
        features, places = self.model.features(images), self._places(len(images))
        known = {
            task: {name: maps[place] for name, maps in features.items()} for task, place in places.items()
        }
        with self.model.reading(known):
            return {task: part.outputs(images[places[task]]) for task, part in self.parts.items()}

    def losses_of(self, outputs: dict[str, Any], targets: list[Any]) -> dict[str, Tensor]:
        """Those of all tasks, weighed and named."""
        losses = {
            task: self.parts[task].losses_of(outputs[task], targets[place])
            for task, place in self._places(len(targets)).items()
        }
        if self.measures and torch.is_grad_enabled():
            self._measure(losses, len(targets))
        return {name: loss for own in losses.values() for name, loss in own.items()}

    def counts_of(self, outputs: dict[str, Any], targets: list[Any]) -> list[Tensor] | None:
        """Those of all tasks, in the order of the losses; None where one does not say them."""
        counts: list[Tensor] = []
        for task, place in self._places(len(targets)).items():
            own = self.parts[task].counts_of(outputs[task], targets[place])
            if own is None:
                return None
            counts += own
        return counts

    def _places(self, num_images: int) -> dict[str, slice]:
        """Where the images of each task lie in a part of the batch, which is mixed as the others are."""
        tasks = self.tasks[:num_images]
        starts = {task: tasks.index(task) for task in self.parts}
        return {task: slice(start, start + tasks.count(task)) for task, start in starts.items()}

    def norms(self) -> dict[str, Tensor]:
        """By task, if they were measured; after the last part of the batch. Every process must call it."""
        return {task: mean_over_processes(gradient).norm() for task, gradient in self._gradients.items()}

    def _measure(self, losses: dict[str, dict[str, Tensor]], num_images: int) -> None:
        """Add a part's gradients on what learns of the backbone, by task."""
        backbone = cast(nn.Module, self.model.backbone)
        shared = [parameter for parameter in backbone.parameters() if parameter.requires_grad]
        if not shared:
            return
        share = num_images / len(self.tasks)
        for task, own in losses.items():
            total = torch.stack(list(own.values())).sum() * self.loss_scale
            found = torch.autograd.grad(total, shared, retain_graph=True, materialize_grads=True)
            gradient = torch.cat([values.flatten() for values in found]) * (share / self.loss_scale)
            self._gradients[task] = gradient + self._gradients.get(task, 0.0)
