"""Training a detector."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from pocketvision.core.structures import DetectionSamples
from pocketvision.models import Detector
from pocketvision.tasks.base import VisionTask


class DetectionTask(VisionTask):
    """Trains a :class:`Detector`; its metric is COCO AP.

    Raises:
        ValueError: loss and model disagree about the score function.
    """

    metric: ClassVar[str] = "AP"
    model: Detector

    def __init__(self, model: Detector, **options: Any) -> None:
        super().__init__(model, **options)
        wanted = getattr(self.loss, "score_function", model.score_function)
        if wanted != model.score_function:
            raise ValueError(f"the loss is for {wanted} scores, the model has {model.score_function} scores.")

    def losses(self, samples: DetectionSamples) -> dict[str, Tensor]:
        output = self.model(samples.images.to(memory_format=torch.channels_last))
        return self.loss(output, samples.targets)
