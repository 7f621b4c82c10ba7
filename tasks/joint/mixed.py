"""What learns from a batch that has images of several tasks."""

from __future__ import annotations

from dataclasses import dataclass
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

    If ``measures``, the losses' rule learns the norm of every task's gradient on the backbone.
    """

    parts: dict[str, Weighed]
    tasks: list[str]
    model: JointModel
    measures: bool = False

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
        places = self._places(len(targets))
        losses = {
            task: part.losses_of(outputs[task], targets[places[task]]) for task, part in self.parts.items()
        }
        if self.measures and torch.is_grad_enabled():
            norms = {task: self._norm(own) for task, own in losses.items()}
            for task, norm in norms.items():
                self.parts[task].balance.learn(norm, task, MEASURED_EVERY)
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

    def _norm(self, losses: dict[str, Tensor]) -> Tensor:
        """The norm () of the shared weights' gradient that a task's losses have."""
        backbone = cast(nn.Module, self.model.backbone)
        shared = [parameter for parameter in backbone.parameters() if parameter.requires_grad]
        total = torch.stack(list(losses.values())).sum()
        gradients = torch.autograd.grad(total, shared, retain_graph=True, allow_unused=True)
        norm = nn.utils.get_total_norm([gradient for gradient in gradients if gradient is not None])
        return mean_over_processes(norm)
