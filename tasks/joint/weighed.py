"""What learns from a batch: one of several tasks, or two whose truth its images carry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pocketvision.core.structures import PairedTarget
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


@dataclass
class Together:
    """Detection and segmentation, parts of a ``model``, on images that carry boxes and masks.

    The shared features are computed once, and the sum of all losses teaches both heads and the backbone.
    """

    boxes: Weighed
    masks: Weighed
    model: JointModel

    def outputs(self, images: Tensor) -> tuple[Any, Any]:
        """As both tasks have them."""
        images = images.to(memory_format=torch.channels_last)
        with self.model.computed_once(images):
            return self.boxes.outputs(images), self.masks.outputs(images)

    def losses_of(self, outputs: tuple[Any, Any], targets: list[PairedTarget]) -> dict[str, Tensor]:
        """Those of both, weighed and named."""
        of_boxes = self.boxes.losses_of(outputs[0], [target.boxes for target in targets])
        return of_boxes | self.masks.losses_of(outputs[1], [target.mask for target in targets])

    def counts_of(self, outputs: tuple[Any, Any], targets: list[PairedTarget]) -> list[Tensor] | None:
        """Those of both, in the order of the losses; None where one does not say them."""
        of_boxes = self.boxes.counts_of(outputs[0], [target.boxes for target in targets])
        of_masks = self.masks.counts_of(outputs[1], [target.mask for target in targets])
        return None if of_boxes is None or of_masks is None else [*of_boxes, *of_masks]
