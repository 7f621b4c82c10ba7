"""Training a classifier."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from pocketvision.core.structures import ClassificationSamples, ClassTarget
from pocketvision.models import Classifier
from pocketvision.tasks.base import VisionTask


class ClassificationTask(VisionTask[ClassificationSamples]):
    """Trains a :class:`Classifier`; its metric is top-1 accuracy."""

    metric: ClassVar[str] = "top1"
    model: Classifier

    def outputs(self, images: Tensor) -> Tensor:
        class_logits: Tensor = self.model(images.to(memory_format=torch.channels_last))
        return class_logits

    def losses_of(self, outputs: Tensor, targets: list[ClassTarget]) -> dict[str, Tensor]:
        return self.loss(outputs, targets)
