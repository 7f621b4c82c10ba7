"""Sigmoid focal loss over all anchors, for detectors without a background class."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from pocketvision.core.boxes import SSDBoxCoder
from pocketvision.core.distributed import joint_normalizer
from pocketvision.core.protocols import BoxCoder
from pocketvision.core.structures import BoxTarget, DetectionOutput
from pocketvision.losses.matcher import IoUMatcher
from pocketvision.losses.ssd import pad_targets


@dataclass(frozen=True)
class FocalLoss:
    """``class_loss`` and ``box_loss`` of TensorFlow's SSDLite MobileNetV3 (arXiv:1708.02002, eq. 5).

    Every anchor and class is a binary decision, so images without boxes teach as well. Both sums are
    divided by the number of matched anchors in the batch; the boxes' is divided by 4 numbers a box too
    (``normalize_loc_loss_by_codesize``). ``alpha`` weighs positives, 1 - alpha negatives.
    """

    matcher: IoUMatcher = field(default_factory=IoUMatcher)
    coder: BoxCoder = field(default_factory=SSDBoxCoder)
    alpha: float = 0.75
    gamma: float = 2.0
    box_weight: float = 1.0

    score_function: ClassVar[str] = "sigmoid"

    def __call__(self, output: DetectionOutput, targets: list[BoxTarget]) -> dict[str, Tensor]:
        """Loss of N images; targets are in pixels of the model's input, on the output's device."""
        boxes, labels, is_box = pad_targets(targets)
        matches = self.matcher(boxes, is_box, output.anchors)
        image, anchor = (matches >= 0).nonzero(as_tuple=True)
        matched = matches[image, anchor]
        normalizer = joint_normalizer((matches >= 0).sum())

        wanted = self.coder.encode(boxes[image, matched], output.anchors[anchor])
        deltas = output.box_deltas[image, anchor].float()
        box_loss = F.smooth_l1_loss(deltas, wanted, reduction="sum") / (4 * normalizer)

        logits = output.class_logits.float()
        classes = torch.zeros_like(logits)
        classes[image, anchor, labels[image, matched]] = 1.0
        cross_entropy = F.binary_cross_entropy_with_logits(logits, classes, reduction="none")
        scores = logits.sigmoid()
        error = scores + classes - 2 * scores * classes  # 1 - the probability of the truth
        weight = self.alpha * classes + (1 - self.alpha) * (1 - classes)
        class_loss = (weight * error**self.gamma * cross_entropy).sum() / normalizer
        return {"class_loss": class_loss, "box_loss": self.box_weight * box_loss}
