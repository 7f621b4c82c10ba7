"""Sigmoid focal losses over all anchors, for detectors without a background class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from pocketvision.core.boxes import SSDBoxCoder
from pocketvision.core.distributed import joint_normalizer
from pocketvision.core.protocols import BoxCoder
from pocketvision.core.structures import BoxTarget, DetectionOutput
from pocketvision.losses.box_regression import BoxLossKind, aligned_iou, box_loss, check_box_loss
from pocketvision.losses.matcher import IoUMatcher
from pocketvision.losses.ssd import count_matched, pad_targets

FocalKind = Literal["focal", "quality", "varifocal"]


@dataclass(frozen=True)
class FocalLoss:
    """``class_loss`` and ``box_loss`` of TensorFlow's SSDLite MobileNetV3 (arXiv:1708.02002, eq. 5).

    Every anchor and class is a binary decision, so images without boxes teach as well. Both sums are
    divided by the number of matched anchors in the batch; the boxes' is divided by 4 numbers a box too
    (``normalize_loc_loss_by_codesize``). ``alpha`` weighs positives, 1 - alpha negatives.

    ``kind`` says what a matched anchor's score is to be: 1 (``focal``), or the IoU of the box that it
    predicts, so that scores rank boxes by how well they lie. Decisions then count error to the power
    ``gamma`` (``quality``, arXiv:2006.04388, eq. 2), or matched ones that IoU and all others ``alpha`` x
    score to the power ``gamma`` (``varifocal``, arXiv:2008.13367, eq. 2).

    ``box_loss`` is that of :func:`~pocketvision.losses.box_regression.box_loss`.

    Raises:
        ValueError: an unknown ``kind`` or ``box_loss``.
    """

    matcher: IoUMatcher = field(default_factory=IoUMatcher)
    coder: BoxCoder = field(default_factory=SSDBoxCoder)
    alpha: float = 0.75
    gamma: float = 2.0
    box_weight: float = 1.0
    kind: FocalKind = "focal"
    box_loss: BoxLossKind = "smooth_l1"

    score_function: ClassVar[str] = "sigmoid"

    def __post_init__(self) -> None:
        check_box_loss(self.box_loss)
        if self.kind not in get_args(FocalKind):
            raise ValueError(f"kind is {self.kind!r}: choose from {', '.join(get_args(FocalKind))}.")

    def __call__(self, output: DetectionOutput, targets: list[BoxTarget]) -> dict[str, Tensor]:
        """Loss of N images; targets are in pixels of the model's input, on the output's device."""
        boxes, labels, is_box = pad_targets(targets)
        matches = self.matcher(boxes, is_box, output.anchors)
        image, anchor = (matches >= 0).nonzero(as_tuple=True)
        matched = matches[image, anchor]
        normalizer = joint_normalizer((matches >= 0).sum())

        wanted, anchors = boxes[image, matched], output.anchors[anchor]
        deltas = output.box_deltas[image, anchor].float()
        total = box_loss(self.box_loss, deltas, wanted, anchors, self.coder)
        if self.box_loss == "smooth_l1":
            total = total / 4

        logits = output.class_logits.float()
        truth = torch.zeros_like(logits)
        truth[image, anchor, labels[image, matched]] = (
            1.0
            if self.kind == "focal"
            else aligned_iou(self.coder.decode(deltas.detach(), anchors), wanted)[0].clamp(max=1)
        )
        class_loss = self.class_losses(logits, truth).sum() / normalizer
        return {"class_loss": class_loss, "box_loss": self.box_weight * total / normalizer}

    @torch.no_grad()
    def counts(self, output: DetectionOutput, targets: Sequence[BoxTarget]) -> list[Tensor]:
        """The number of matched anchors, what the loss is normalized by; of ``output`` only anchors count."""
        return [count_matched(self.matcher, output.anchors, targets)]

    def class_losses(self, logits: Tensor, truth: Tensor) -> Tensor:
        """Loss of each decision: logits (N, A, K) and scores to reach (N, A, K) -> (N, A, K)."""
        cross_entropy = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
        scores = logits.sigmoid()
        if self.kind == "quality":
            return (truth - scores).abs() ** self.gamma * cross_entropy
        if self.kind == "varifocal":
            weight = torch.where(truth > 0, truth, self.alpha * scores.detach() ** self.gamma)
            return weight * cross_entropy
        error = scores + truth - 2 * scores * truth  # 1 - the probability of the truth
        weight = self.alpha * truth + (1 - self.alpha) * (1 - truth)
        return weight * error**self.gamma * cross_entropy
