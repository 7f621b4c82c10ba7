"""The loss of dense heads: scores that say how well a box lies, boxes, and distributions of their sides."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from pocketvision.core.distances import DistanceBoxCoder
from pocketvision.core.distributed import joint_normalizer
from pocketvision.core.protocols import BoxCoder
from pocketvision.core.structures import BoxTarget, DistributionOutput, LossInput
from pocketvision.losses.assignment import Assigner, Assignment, FirstMatcher, Predicted, Truths
from pocketvision.losses.box_regression import giou
from pocketvision.losses.ssd import pad_targets
from pocketvision.losses.task_aligned import TaskAlignedAssigner

QualityKind = Literal["quality", "varifocal"]


@dataclass(frozen=True)
class GFLLoss:
    """``class_loss``, ``box_loss`` and, for heads that have them, ``distribution_loss``.

    The class of a matched point is to score the quality that ``assigner`` gives it, all others 0:
    ``kind="quality"`` is -|y - s|^2 x cross-entropy (arXiv:2006.04388, eq. 5), ``"varifocal"`` weighs matched
    ones by y and others by 0.75 s^2 (arXiv:2008.13367, eq. 2). Boxes learn by 1 - GIoU and distributions by
    the two values around a side's distance (arXiv:2006.04388, eq. 6), each weighed by the quality. All are
    divided by the sum of qualities in the batch of all processes, at least 1.

    ``class_weights`` (K values) weigh the decisions that matched points are of their class; others, that a
    point is not of a class, count 1. ``task.loss.class_weights=data`` takes them from the training boxes, of
    which their mean is 1.

    ``matcher`` is how ``assigner`` begins, with a head that knows nothing.

    Raises:
        ValueError: an unknown ``kind``.
    """

    assigner: Assigner = field(default_factory=TaskAlignedAssigner)
    coder: BoxCoder = field(default_factory=DistanceBoxCoder)
    kind: QualityKind = "varifocal"
    class_weight: float = 1.0
    box_weight: float = 2.0
    distribution_weight: float = 0.25
    class_weights: tuple[float, ...] | None = None

    score_function: ClassVar[str] = "sigmoid"

    def __post_init__(self) -> None:
        if self.kind not in get_args(QualityKind):
            raise ValueError(f"kind is {self.kind!r}: choose from {', '.join(get_args(QualityKind))}.")

    def __call__(self, output: LossInput, targets: list[BoxTarget]) -> dict[str, Tensor]:
        """Loss of N images; targets are in pixels of the model's input, on the output's device."""
        truths = Truths(*pad_targets(targets))
        return self._losses(output, truths, self._assign(output, truths))

    def guided(self, output: LossInput, guide: LossInput, targets: list[BoxTarget]) -> dict[str, Tensor]:
        """Losses of a head and of its guide, whose boxes and scores decide what the points of both learn."""
        truths = Truths(*pad_targets(targets))
        assignment = self._assign(guide, truths)
        of_guide = self._losses(guide, truths, assignment)
        return self._losses(output, truths, assignment) | {f"guide_{k}": v for k, v in of_guide.items()}

    def _assign(self, output: LossInput, truths: Truths) -> Assignment:
        scores = output.class_logits.detach().float().sigmoid()
        boxes = self.coder.decode(output.box_deltas.detach().float(), output.anchors)
        return self.assigner(Predicted(scores, boxes, output.anchors), truths)

    def _losses(self, output: LossInput, truths: Truths, found: Assignment) -> dict[str, Tensor]:
        normalizer = joint_normalizer(found.quality.sum(), least=1.0)
        image, point = (found.matches >= 0).nonzero(as_tuple=True)
        matched, weight = found.matches[image, point], found.quality[image, point]

        logits = output.class_logits.float()
        truth = torch.zeros_like(logits)
        truth[image, point, truths.labels[image, matched]] = weight
        anchors, wanted = output.anchors[point], truths.boxes[image, matched]
        boxes = self.coder.decode(output.box_deltas[image, point].float(), anchors)
        box_losses = (1 - giou(boxes, wanted)) * weight
        losses = {
            "class_loss": self.class_weight * self.class_losses(logits, truth).sum() / normalizer,
            "box_loss": self.box_weight * box_losses.sum() / normalizer,
        }
        if isinstance(output, DistributionOutput):
            sides = output.box_distributions[image, point].float()
            total = (distribution_losses(sides, self.coder.encode(wanted, anchors)) * weight).sum()
            losses["distribution_loss"] = self.distribution_weight * total / normalizer
        return losses

    @property
    def matcher(self) -> FirstMatcher:
        """Matches as training begins, for whoever looks at it from outside."""
        return FirstMatcher(self.assigner)

    def class_losses(self, logits: Tensor, truth: Tensor) -> Tensor:
        """Loss of each decision: logits (N, A, K) and scores to reach (N, A, K) -> (N, A, K)."""
        cross_entropy = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
        scores = logits.sigmoid()
        if self.kind == "quality":
            losses = (truth - scores).square() * cross_entropy
        else:
            losses = torch.where(truth > 0, truth, 0.75 * scores.detach().square()) * cross_entropy
        if self.class_weights is None:
            return losses
        return torch.where(truth > 0, logits.new_tensor(self.class_weights), 1.0) * losses


def distribution_losses(logits: Tensor, deltas: Tensor) -> Tensor:
    """Cross-entropy with the values around each delta: (M, 4, R + 1) and (M, 4) -> (M,), mean of sides.

    The values are evenly spaced from 0 to 2; a delta beyond them counts as the nearest.
    """
    reg_max = logits.shape[-1] - 1
    places = (deltas * (reg_max / 2)).clamp(0, reg_max - 0.01)
    low = places.long()
    share = places - low
    log_probabilities = logits.log_softmax(dim=-1)
    near = log_probabilities.gather(-1, low[..., None]).squeeze(-1)
    far = log_probabilities.gather(-1, (low + 1)[..., None]).squeeze(-1)
    return -(near * (1 - share) + far * share).mean(dim=-1)
