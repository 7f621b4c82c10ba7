"""Training a segmenter."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from pocketvision.core.structures import SegmentationSamples
from pocketvision.models import Segmenter
from pocketvision.tasks.base import VisionTask


class SegmentationTask(VisionTask):
    """Trains a :class:`Segmenter`, its logits resized to the masks; its metric is mIoU."""

    metric: ClassVar[str] = "mIoU"
    model: Segmenter

    def check(self) -> None:
        weights = getattr(self.loss, "class_weights", None)
        if weights is not None and len(weights) != len(self.model.class_names):
            raise ValueError(
                f"task.loss.class_weights has {len(weights)} values for "
                f"{len(self.model.class_names)} classes: give one a class, or None."
            )

    def losses(self, samples: SegmentationSamples) -> dict[str, Tensor]:
        logits = self.model(samples.images.to(memory_format=torch.channels_last))
        logits = F.interpolate(logits, samples.images.shape[-2:], mode="bilinear", align_corners=False)
        return self.loss(logits, samples.targets)
