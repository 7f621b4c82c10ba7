"""One of several tasks, for a batch of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from pocketvision.models import JointModel
from pocketvision.tasks.base import AnyTask
from pocketvision.tasks.joint.balance import Balance


@dataclass
class Weighed:
    """A task, part of a ``model``, whose losses count as ``balance`` says and have its ``name`` in front."""

    task: AnyTask
    name: str
    balance: Balance
    model: JointModel

    def outputs(self, images: Tensor) -> Any:
        """As the task has them."""
        return self.task.outputs(images)

    def losses_of(self, outputs: Any, targets: list[Any]) -> dict[str, Tensor]:
        """Weighed and named."""
        losses = self.balance.apply_to(self.task.losses_of(outputs, targets), self.name)
        return {f"{self.name}/{name}": loss for name, loss in losses.items()}

    def counts_of(self, outputs: Any, targets: list[Any]) -> list[Tensor] | None:
        """As the task has them."""
        return self.task.counts_of(outputs, targets)
