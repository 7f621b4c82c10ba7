"""What a head learns from another: scores and distributions of distances of points, classes of pixels."""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from pocketvision.core.distributed import joint_normalizer
from pocketvision.core.structures import DistributionOutput, LossInput


@dataclass(frozen=True)
class Distillation:
    """``teacher_class_loss`` and, where both heads have them, ``teacher_distribution_loss``.

    Every score of a point is to be the teacher's: |t - s|^2 x cross-entropy, as quality focal loss, in the
    way of CrossKD (arXiv:2306.11369, sec. 3.3). Distributions learn by the divergence from the teacher's,
    both softened by ``temperature`` and the result multiplied by its square (arXiv:2102.12252, eq. 2), each
    point weighed by the teacher's best score there. Both are divided by the sum of these weights in the batch
    of all processes, at least 1.
    """

    class_weight: float = 1.0
    distribution_weight: float = 0.25
    temperature: float = 2.0

    def __call__(self, output: LossInput, teacher: LossInput) -> dict[str, Tensor]:
        """Losses of N images whose points are the same for both."""
        wanted = teacher.class_logits.detach().float().sigmoid()
        weight = wanted.amax(dim=-1)
        normalizer = joint_normalizer(weight.sum(), least=1.0)
        logits = output.class_logits.float()
        cross_entropy = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
        class_losses = (wanted - logits.sigmoid()).square() * cross_entropy
        losses = {"teacher_class_loss": self.class_weight * class_losses.sum() / normalizer}
        if isinstance(output, DistributionOutput) and isinstance(teacher, DistributionOutput):
            sides = self._divergence(output.box_distributions, teacher.box_distributions)
            losses["teacher_distribution_loss"] = (
                self.distribution_weight * (sides * weight).sum() / normalizer
            )
        return losses

    def _divergence(self, logits: Tensor, wanted: Tensor) -> Tensor:
        """Mean over the sides of each point's divergence: (N, A, 4, R + 1) twice -> (N, A)."""
        own = (logits.float() / self.temperature).log_softmax(dim=-1)
        of_teacher = (wanted.detach().float() / self.temperature).log_softmax(dim=-1)
        divergence = F.kl_div(own, of_teacher, reduction="none", log_target=True).sum(dim=-1)
        return divergence.mean(dim=-1) * self.temperature**2


@dataclass(frozen=True)
class PixelDistillation:
    """``teacher_pixel_loss``: the divergence of each pixel's classes from the teacher's.

    As the pixel-wise loss of arXiv:1903.04197 (eq. 1), and as above softened by ``temperature``, times its
    square. It is a mean over all pixels, those without truth, too.
    """

    weight: float = 1.0
    temperature: float = 2.0

    def __call__(self, logits: Tensor, teacher: Tensor) -> dict[str, Tensor]:
        """The loss of logits (N, K, h, w); the ``teacher``'s may be of another size, and are resized."""
        if teacher.shape != logits.shape:
            teacher = F.interpolate(teacher, logits.shape[-2:], mode="bilinear", align_corners=False)
        own = (logits.float() / self.temperature).log_softmax(dim=1)
        wanted = (teacher.detach().float() / self.temperature).log_softmax(dim=1)
        divergence = F.kl_div(own, wanted, reduction="none", log_target=True).sum(dim=1)
        return {"teacher_pixel_loss": self.weight * self.temperature**2 * divergence.mean()}
