"""SSD's loss: softmax classes with hard negative mining and smooth L1 boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from pocketvision.core.boxes import SSDBoxCoder
from pocketvision.core.distributed import joint_normalizer
from pocketvision.core.protocols import BoxCoder
from pocketvision.core.structures import BoxTarget, DetectionOutput
from pocketvision.losses.box_regression import BoxLossKind, box_loss, check_box_loss
from pocketvision.losses.matcher import IoUMatcher


@dataclass(frozen=True)
class SSDLoss:
    """``class_loss`` and ``box_loss`` of SSD (arXiv:1512.02325, eq. 1).

    Each image's ``negative_ratio`` x positives hardest unmatched anchors, and at least
    ``min_negatives_per_image``, learn the background. Images with boxes: cross-entropies summed and
    divided by the number of matched anchors in the batch of all processes, as in torchvision. An
    image without boxes: the mean cross-entropy over its ``min_negatives_per_image`` hardest anchors,
    divided by the number of images in the batch - in torchvision such an image teaches nothing.

    ``box_loss`` is that of :func:`~pocketvision.losses.box_regression.box_loss`; ``label_smoothing`` in
    [0, 1) is that of the classes' cross-entropy. ``class_weights`` (K values) weigh the cross-entropy of the
    anchors that learn a class, the background counts 1; ``task.loss.class_weights=data`` takes them from the
    training boxes, of which their mean is 1.

    Raises:
        ValueError: an unknown ``box_loss``, or label smoothing outside [0, 1).
    """

    matcher: IoUMatcher = field(default_factory=IoUMatcher)
    coder: BoxCoder = field(default_factory=SSDBoxCoder)
    negative_ratio: float = 3.0
    min_negatives_per_image: int = 30
    box_weight: float = 1.0
    box_loss: BoxLossKind = "smooth_l1"
    label_smoothing: float = 0.0
    class_weights: tuple[float, ...] | None = None

    score_function: ClassVar[str] = "softmax"

    def __post_init__(self) -> None:
        check_box_loss(self.box_loss)
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"label_smoothing is {self.label_smoothing!r}: give a number from 0 to below 1.")

    def __call__(self, output: DetectionOutput, targets: list[BoxTarget]) -> dict[str, Tensor]:
        """Loss of N images; targets are in pixels of the model's input, on the output's device."""
        boxes, labels, is_box = pad_targets(targets)
        matches = self.matcher(boxes, is_box, output.anchors)
        is_positive = matches >= 0
        num_positives = is_positive.sum(dim=1)
        normalizer = joint_normalizer(num_positives.sum())

        image, anchor = is_positive.nonzero(as_tuple=True)
        matched = matches[image, anchor]
        num_anchors, num_outputs = output.class_logits.shape[1:]
        # Rows of flat tensors: one gradient of the outputs' size each, and nothing else that large.
        positives = image * num_anchors + anchor
        deltas = output.box_deltas.flatten(0, 1).index_select(0, positives).float()
        total = box_loss(self.box_loss, deltas, boxes[image, matched], output.anchors[anchor], self.coder)

        is_negative = self.mine(output.class_logits, is_positive)
        negatives = is_negative.flatten().nonzero().squeeze(1)
        logits = output.class_logits.flatten(0, 1).index_select(0, torch.cat((positives, negatives)))
        classes = torch.cat((labels[image, matched], torch.full_like(negatives, num_outputs - 1)))
        cross_entropy = self._cross_entropy(logits.float(), classes)
        share = torch.where(
            num_positives > 0,
            1.0 / normalizer,
            1.0 / (is_negative.sum(dim=1).clamp(min=1) * len(targets)),
        )
        owners = torch.cat((image, negatives.div(num_anchors, rounding_mode="floor")))
        class_loss = (cross_entropy * share[owners]).sum()
        return {"class_loss": class_loss, "box_loss": self.box_weight * total / normalizer}

    def _cross_entropy(self, logits: Tensor, classes: Tensor) -> Tensor:
        """Of logits (M, K + 1) and classes (M,), weighed: (M,)."""
        losses = F.cross_entropy(logits, classes, reduction="none", label_smoothing=self.label_smoothing)
        if self.class_weights is None:
            return losses
        return losses * logits.new_tensor((*self.class_weights, 1.0))[classes]

    @torch.no_grad()
    def counts(self, output: DetectionOutput, targets: Sequence[BoxTarget]) -> list[Tensor]:
        """The number of matched anchors, what the loss is normalized by; of ``output`` only anchors count."""
        return [count_matched(self.matcher, output.anchors, targets)]

    @torch.no_grad()
    def mine(self, class_logits: Tensor, is_positive: Tensor) -> Tensor:
        """Choose the hardest negatives: class_logits (N, A, K + 1), is_positive (N, A) -> (N, A) bool."""
        num_anchors = is_positive.shape[1]
        wanted = (self.negative_ratio * is_positive.sum(dim=1)).long().clamp(min=self.min_negatives_per_image)
        wanted = torch.minimum(wanted, num_anchors - is_positive.sum(dim=1))
        most = int(wanted.max())
        # Image by image on a CPU: there, memory that is fresh costs more than the arithmetic.
        parts = torch.split(class_logits, 1) if class_logits.device.type == "cpu" else (class_logits,)
        hardness = -torch.cat([part.float().log_softmax(dim=-1)[..., -1] for part in parts])
        hardest = hardness.masked_fill(is_positive, -torch.inf).topk(most, dim=1).indices
        chosen = torch.arange(most, device=wanted.device) < wanted[:, None]
        return torch.zeros_like(is_positive).scatter_(1, hardest, chosen)


def count_matched(matcher: IoUMatcher, anchors: Tensor, targets: Sequence[BoxTarget]) -> Tensor:
    """Anchors () that learn a truth box, in all images together."""
    boxes, _, is_box = pad_targets(targets)
    return (matcher(boxes, is_box, anchors) >= 0).sum()


def pad_targets(targets: Sequence[BoxTarget]) -> tuple[Tensor, Tensor, Tensor]:
    """Targets of N images -> boxes (N, G, 4), labels (N, G), is_box (N, G)."""
    boxes = pad_sequence([target.boxes for target in targets], batch_first=True)
    labels = pad_sequence([target.labels for target in targets], batch_first=True)
    counts = torch.tensor([len(target.labels) for target in targets], device=labels.device)
    return boxes, labels, torch.arange(labels.shape[1], device=labels.device) < counts[:, None]
