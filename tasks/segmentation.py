"""Training a segmenter."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim import Optimizer

from pocketvision.core.protocols import SegmentationLoss
from pocketvision.core.structures import MaskTarget, SegmentationSamples
from pocketvision.losses.distillation import PixelDistillation
from pocketvision.models import Segmenter
from pocketvision.runs.teacher import load_teacher
from pocketvision.tasks.base import VisionTask
from pocketvision.tasks.options import check_class_weights

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from pocketvision.tasks.options import TaskOptions


class TaughtMaps(NamedTuple):
    """What the model says of a batch, by output, and the logits of its teacher."""

    own: dict[str, Tensor]
    teacher: Tensor


class SegmentationTask(VisionTask[SegmentationSamples]):
    """Trains a :class:`Segmenter`, its logits resized to the masks; its metric is mIoU.

    The loss of an auxiliary head, where the model has one, counts ``auxiliary_weight`` times
    (0.5 in torchvision's recipe). The other arguments are those of :class:`VisionTask`.

    ``teacher`` is the run folder or weights file of a larger segmenter of the same classes, whose logits the
    model learns too, by ``distillation``.

    Raises:
        ValueError: as :class:`VisionTask`, or a teacher of something else.
        InputError: there is no teacher there.
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
        teacher: str | Path | None = None,
        distillation: PixelDistillation = PixelDistillation(),  # noqa: B008  # a value
        **options: Unpack[TaskOptions],
    ) -> None:
        super().__init__(model, loss, optimizer, reference_batch, **options)
        self.auxiliary_weight, self.distillation = auxiliary_weight, distillation
        self._teacher = () if teacher is None else (load_teacher(teacher, model),)
        """In a tuple, so that its weights are none of the task's."""

    def check(self) -> None:
        check_class_weights(self.loss, self.model.class_names)

    def outputs(self, images: Tensor) -> dict[str, Tensor] | TaughtMaps:
        images = images.to(memory_format=torch.channels_last)
        own = self.model.forward_all(images)
        return TaughtMaps(own, _logits_of_teacher(*self._teacher, images)) if self._teacher else own

    def losses_of(
        self, outputs: dict[str, Tensor] | TaughtMaps, targets: list[MaskTarget]
    ) -> dict[str, Tensor]:
        if isinstance(outputs, TaughtMaps):
            taught = self.distillation(outputs.own["logits"], outputs.teacher)
            return self.losses_of(outputs.own, targets) | taught
        losses: dict[str, Tensor] = {}
        for output, logits in outputs.items():
            size = targets[0].mask.shape[-2:]
            logits = F.interpolate(logits, size, mode="bilinear", align_corners=False)
            named = self.loss(logits, targets)
            if output == "auxiliary":
                named = {f"auxiliary_{k}": v * self.auxiliary_weight for k, v in named.items()}
            losses |= named
        return losses

    def counts_of(
        self, outputs: dict[str, Tensor] | TaughtMaps, targets: list[MaskTarget]
    ) -> list[Tensor] | None:
        counts: list[Tensor] = []
        for logits in (outputs.own if isinstance(outputs, TaughtMaps) else outputs).values():
            own = super().counts_of(logits, targets)
            if own is None:
                return None
            counts += own
        return counts


@torch.no_grad()
def _logits_of_teacher(teacher: Segmenter, images: Tensor) -> Tensor:
    logits: Tensor = teacher.to(images.device).eval()(images)
    return logits
