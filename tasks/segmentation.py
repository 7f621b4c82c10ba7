"""Training a segmenter."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim import Optimizer

from pocketvision.core.protocols import SegmentationLoss
from pocketvision.core.structures import MaskTarget, SegmentationSamples
from pocketvision.models import Segmenter
from pocketvision.tasks.base import VisionTask
from pocketvision.tasks.options import check_class_weights

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from pocketvision.tasks.options import TaskOptions


class SegmentationTask(VisionTask[SegmentationSamples]):
    """Trains a :class:`Segmenter`, its logits resized to the masks; its metric is mIoU.

    The loss of an auxiliary head, where the model has one, counts ``auxiliary_weight`` times
    (0.5 in torchvision's recipe). The other arguments are those of :class:`VisionTask`.
    """

    metric: ClassVar[str] = "mIoU"
    model: Segmenter

    def __init__(
        self,
        model: Segmenter,
        loss: SegmentationLoss,
        optimizer: Callable[..., Optimizer],
        reference_batch: int,
        *,
        auxiliary_weight: float = 0.5,
        **options: Unpack[TaskOptions],
    ) -> None:
        super().__init__(model, loss, optimizer, reference_batch, **options)
        self.auxiliary_weight = auxiliary_weight

    def check(self) -> None:
        check_class_weights(self.loss, self.model.class_names)

    def outputs(self, images: Tensor) -> dict[str, Tensor]:
        return self.model.forward_all(images.to(memory_format=torch.channels_last))

    def losses_of(self, outputs: dict[str, Tensor], targets: list[MaskTarget]) -> dict[str, Tensor]:
        losses: dict[str, Tensor] = {}
        for output, logits in outputs.items():
            size = targets[0].mask.shape[-2:]
            logits = F.interpolate(logits, size, mode="bilinear", align_corners=False)
            named = self.loss(logits, targets)
            if output == "auxiliary":
                named = {f"auxiliary_{k}": v * self.auxiliary_weight for k, v in named.items()}
            losses |= named
        return losses

    def counts_of(self, outputs: dict[str, Tensor], targets: list[MaskTarget]) -> list[Tensor] | None:
        counts: list[Tensor] = []
        for logits in outputs.values():
            own = super().counts_of(logits, targets)
            if own is None:
                return None
            counts += own
        return counts
