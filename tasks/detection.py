"""Training a detector."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from pocketvision.core.structures import BoxTarget, DetectionOutput, DetectionSamples
from pocketvision.models import Detector
from pocketvision.tasks.base import VisionTask


class DetectionTask(VisionTask[DetectionSamples]):
    """Trains a :class:`Detector`; its metric is COCO AP."""

    metric: ClassVar[str] = "AP"
    model: Detector

    def check(self) -> None:
        model = self.model
        scores = getattr(self.loss, "score_function", model.score_function)
        if scores != model.score_function:
            raise ValueError(f"the loss is for {scores} scores, the model has {model.score_function} scores.")
        coder = getattr(self.loss, "coder", model.postprocess.coder)
        if coder != model.postprocess.coder:
            raise ValueError(
                f"the loss encodes with {coder}, the model decodes with {model.postprocess.coder}."
            )

    def outputs(self, images: Tensor) -> DetectionOutput:
        output: DetectionOutput = self.model(images.to(memory_format=torch.channels_last))
        return output

    def losses_of(self, outputs: DetectionOutput, targets: list[BoxTarget]) -> dict[str, Tensor]:
        return self.loss(outputs, targets)
