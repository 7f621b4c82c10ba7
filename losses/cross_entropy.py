"""Pixel-wise cross-entropy for segmentation."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from pocketvision.core.distributed import joint_normalizer
from pocketvision.core.structures import IGNORE_INDEX, MaskTarget


@dataclass(frozen=True)
class SegmentationCrossEntropy:
    """``cross_entropy`` over pixels whose truth is not 255; 0 where there are none.

    ``class_weights`` (K values) weigh the pixels of each class; ``label_smoothing`` in [0, 1).
    """

    class_weights: tuple[float, ...] | None = None
    label_smoothing: float = 0.0

    def __call__(self, logits: Tensor, targets: list[MaskTarget]) -> dict[str, Tensor]:
        """Loss of logits (N, K, H, W) and masks (H, W) of the same size.

        Raises:
            ValueError: there are not as many class weights as classes.
        """
        num_classes = logits.shape[1]
        weight = None
        if self.class_weights is not None:
            if len(self.class_weights) != num_classes:
                raise ValueError(f"{len(self.class_weights)} class weights for {num_classes} classes.")
            weight = logits.new_tensor(self.class_weights, dtype=torch.float32)
        masks = torch.stack([target.mask for target in targets]).long()
        total = F.cross_entropy(
            logits.float(),
            masks,
            weight=weight,
            ignore_index=IGNORE_INDEX,
            label_smoothing=self.label_smoothing,
            reduction="sum",
        )
        counts = torch.bincount(masks.flatten(), minlength=IGNORE_INDEX + 1)[:num_classes]
        share = joint_normalizer(counts.sum() if weight is None else (counts * weight).sum())
        return {"cross_entropy": total / share}
