"""Training a detector."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from pocketvision.core.structures import DetectionSamples
from pocketvision.models import Detector
from pocketvision.tasks.base import VisionTask


class DetectionTask(VisionTask):
    """Trains a :class:`Detector`; its metric is COCO AP."""

    metric: ClassVar[str] = "AP"
    model: Detector

    def losses(self, samples: DetectionSamples) -> dict[str, Tensor]:
        output = self.model(samples.images.to(memory_format=torch.channels_last))
        return self.loss(output, samples.targets)
