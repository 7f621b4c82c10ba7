"""Pixel-wise cross-entropy for segmentation, alone or with a loss of whole regions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from pocketvision.core.distributed import joint_normalizer
from pocketvision.core.structures import IGNORE_INDEX, MaskTarget
from pocketvision.losses.regions import DiceLoss, LovaszLoss


@dataclass(frozen=True)
class SegmentationCrossEntropy:
    """``cross_entropy`` over pixels whose truth is not 255; 0 where there are none.

    ``class_weights`` (K values) weigh the pixels of each class; ``task.loss.class_weights=data`` for the
    train command takes them from the training masks. ``label_smoothing`` in [0, 1). With ``hard_share``
    below 1 only that share of each image's pixels learns, those of the largest loss (online hard example
    mining, arXiv:1604.03540).
    ``dice_weight`` and ``lovasz_weight`` add a :class:`DiceLoss` and a :class:`LovaszLoss`.

    Raises:
        ValueError: a share, smoothing or weight is out of range.
    """

    class_weights: tuple[float, ...] | None = None
    label_smoothing: float = 0.0
    hard_share: float = 1.0
    dice_weight: float = 0.0
    lovasz_weight: float = 0.0

    def __post_init__(self) -> None:
        if not (0 < self.hard_share <= 1 and 0 <= self.label_smoothing < 1):
            raise ValueError(
                f"hard_share is {self.hard_share!r} and label_smoothing {self.label_smoothing!r}: give a "
                "share above 0, up to 1, and a smoothing from 0 to below 1."
            )
        if min(self.dice_weight, self.lovasz_weight) < 0:
            raise ValueError("dice_weight and lovasz_weight can't be negative.")

    def __call__(self, logits: Tensor, targets: list[MaskTarget]) -> dict[str, Tensor]:
        """Losses of logits (N, K, H, W) and masks (H, W) of the same size.

        Raises:
            ValueError: there are not as many class weights as classes.
        """
        masks = torch.stack([target.mask for target in targets]).long()
        losses = {"cross_entropy": self._cross_entropy(logits, masks)}
        if self.dice_weight:
            losses["dice"] = self.dice_weight * DiceLoss()(logits, targets)["dice"]
        if self.lovasz_weight:
            losses["lovasz"] = self.lovasz_weight * LovaszLoss()(logits, targets)["lovasz"]
        return losses

    @torch.no_grad()
    def counts(self, logits: Tensor, targets: Sequence[MaskTarget]) -> list[Tensor] | None:
        """How many pixels learn, or the sum of their weights; of ``logits`` only the classes count.

        None where the weights of the hardest pixels decide, which the model chooses.
        """
        masks = torch.stack([target.mask for target in targets]).long()
        if self.hard_share == 1:
            return [self._count(masks, logits.shape[1])]
        return [self._num_hard(masks).sum()] if self.class_weights is None else None

    def _count(self, masks: Tensor, num_classes: int) -> Tensor:
        """Number () of the pixels of masks that learn, or the sum of their weights."""
        counts = torch.bincount(masks.flatten(), minlength=IGNORE_INDEX + 1)[:num_classes]
        if self.class_weights is None:
            return counts.sum()
        return (counts * counts.new_tensor(self.class_weights, dtype=torch.float32)).sum()

    def _num_hard(self, masks: Tensor) -> Tensor:
        """Pixels (N,) of masks (N, H, W) that learn."""
        return (self.hard_share * (masks != IGNORE_INDEX).flatten(1).sum(dim=1)).ceil().long()

    def _cross_entropy(self, logits: Tensor, masks: Tensor) -> Tensor:
        num_classes = logits.shape[1]
        weight = None
        if self.class_weights is not None:
            if len(self.class_weights) != num_classes:
                raise ValueError(f"{len(self.class_weights)} class weights for {num_classes} classes.")
            weight = logits.new_tensor(self.class_weights, dtype=torch.float32)
        is_whole = self.hard_share == 1
        losses = F.cross_entropy(
            logits.float(),
            masks,
            weight=weight,
            ignore_index=IGNORE_INDEX,
            label_smoothing=self.label_smoothing,
            reduction="sum" if is_whole else "none",
        )
        if not is_whole:
            is_hard = self._hardest(losses.detach(), masks)
            losses = losses[is_hard].sum()
            masks = masks[is_hard]
        return losses / joint_normalizer(self._count(masks, num_classes))

    def _hardest(self, losses: Tensor, masks: Tensor) -> Tensor:
        """Which pixels (N, H, W) learn: of each image the share with the largest losses (N, H, W)."""
        is_valid = (masks != IGNORE_INDEX).flatten(1)
        wanted = self._num_hard(masks)
        order = losses.flatten(1).masked_fill(~is_valid, -torch.inf).argsort(dim=1, descending=True)
        chosen = torch.arange(order.shape[1], device=order.device) < wanted[:, None]
        return torch.zeros_like(is_valid).scatter_(1, order, chosen).view_as(masks)
