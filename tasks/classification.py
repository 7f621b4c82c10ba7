"""Training a classifier."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from pocketvision.core.structures import ClassificationSamples
from pocketvision.models import Classifier
from pocketvision.tasks.base import VisionTask


class ClassificationTask(VisionTask[ClassificationSamples]):
    """Trains a :class:`Classifier`; its metric is top-1 accuracy."""

    metric: ClassVar[str] = "top1"
    model: Classifier

    def losses(self, samples: ClassificationSamples) -> dict[str, Tensor]:
        class_logits = self.model(samples.images.to(memory_format=torch.channels_last))
        return self.loss(class_logits, samples.targets)
