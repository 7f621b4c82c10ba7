"""Losses of whole regions of an image: Dice, and Lovasz's extension of the IoU."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from pocketvision.core.structures import IGNORE_INDEX, MaskTarget


@dataclass(frozen=True)
class DiceLoss:
    """``dice``: 1 - 2 |P and T| / (|P| + |T|) of softmax scores P and truth T (arXiv:1606.04797, sec. 3).

    The mean over the classes that an image has and then over images, so that several processes train
    what one would. Pixels whose truth is 255 count nowhere; an image of nothing else costs 0.
    """

    def __call__(self, logits: Tensor, targets: list[MaskTarget]) -> dict[str, Tensor]:
        """Loss of logits (N, K, H, W) and masks (H, W) of the same size."""
        is_valid, truth = one_hot(logits, targets)
        scores = logits.float().softmax(dim=1).flatten(2) * is_valid
        both, sizes = (scores * truth).sum(dim=2), truth.sum(dim=2)
        losses = 1 - 2 * both / (scores.sum(dim=2) + sizes).clamp(min=1e-6)
        return {"dice": _mean_over_present(losses, sizes)}


@dataclass(frozen=True)
class LovaszLoss:
    """``lovasz``: Lovasz-softmax, a smooth 1 - IoU (arXiv:1705.08790, eq. 11 and 12, per image).

    The mean over the classes that an image has and then over images. Pixels whose truth is 255 count
    nowhere; an image of nothing else costs 0.
    """

    def __call__(self, logits: Tensor, targets: list[MaskTarget]) -> dict[str, Tensor]:
        """Loss of logits (N, K, H, W) and masks (H, W) of the same size."""
        is_valid, truth = one_hot(logits, targets)
        scores = logits.float().softmax(dim=1).flatten(2)
        # Ignored pixels come last with an error of 0, so that they change nothing before them.
        errors, order = (truth - scores).abs().masked_fill(~is_valid, -1.0).sort(dim=2, descending=True)
        with torch.no_grad():
            in_order = truth.gather(2, order)
            sizes = in_order.sum(dim=2)
            left = sizes[..., None] - in_order.cumsum(dim=2)
            union = sizes[..., None] + (1 - in_order).cumsum(dim=2)
            jaccard = 1 - left / union.clamp(min=1)
            slopes = torch.cat((jaccard[..., :1], jaccard.diff(dim=2)), dim=2)
        losses = (errors.clamp(min=0) * slopes).sum(dim=2)
        return {"lovasz": _mean_over_present(losses, sizes)}


def _mean_over_present(losses: Tensor, sizes: Tensor) -> Tensor:
    """Mean of losses (N, K) over the classes with a size (N, K), then over images."""
    is_present = sizes > 0
    return ((losses * is_present).sum(dim=1) / is_present.sum(dim=1).clamp(min=1)).mean()


def one_hot(logits: Tensor, targets: list[MaskTarget]) -> tuple[Tensor, Tensor]:
    """Valid pixels (N, 1, P) bool and truth (N, K, P) of 0 and 1, with P = H x W."""
    masks = torch.stack([target.mask for target in targets]).long().flatten(1)
    is_valid = masks != IGNORE_INDEX
    classes = F.one_hot(masks.where(is_valid, logits.shape[1]), logits.shape[1] + 1)[..., :-1]
    return is_valid[:, None], classes.transpose(1, 2).float()
