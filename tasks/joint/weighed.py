"""One of several tasks, for a batch of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from pocketvision.models import JointModel
from pocketvision.tasks.base import AnyTask


@dataclass
class Weighed:
    """A task whose losses count ``weight`` times and have its ``name`` in front, as part of a ``model``."""

    task: AnyTask
    name: str
    weight: float
    model: JointModel

    def outputs(self, images: Tensor) -> Any:
        """As the task has them."""
        return self.task.outputs(images)

    def losses_of(self, outputs: Any, targets: list[Any]) -> dict[str, Tensor]:
        """Weighed and named."""
        losses = self.task.losses_of(outputs, targets)
        return {f"{self.name}/{name}": self.weight * loss for name, loss in losses.items()}

    def counts_of(self, outputs: Any, targets: list[Any]) -> list[Tensor] | None:
        """As the task has them."""
        return self.task.counts_of(outputs, targets)
