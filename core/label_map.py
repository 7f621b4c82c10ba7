"""Logits -> the class of every pixel, at any size, without a full-size copy of the logits."""

from __future__ import annotations

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pocketvision.core.structures import Size

_SMALL = 256
"""Height plus width up to which PyTorch may take another kernel for many channels, which rounds otherwise."""


def enlarge(logits: Tensor, size: Size) -> Tensor:
    """Bilinear interpolation of (K, h, w) to (K, H, W), without antialiasing."""
    return F.interpolate(logits[None], size, mode="bilinear")[0]


def enlarged_argmax(logits: Tensor, size: Size) -> Tensor:
    """``enlarge(logits, size).argmax(dim=0)`` of contiguous logits (K, h, w), K <= 256, as (H, W) uint8.

    The first of equal classes wins. On a CPU one channel after the other is enlarged and compared with
    the maximum so far: what is held is two channels instead of K, and the result is the same, as every
    channel is interpolated by the same arithmetic.
    """
    logits = logits.contiguous()
    if logits.device.type != "cpu" or logits.dtype != torch.float32 or sum(size) <= _SMALL:
        return enlarge(logits, size).argmax(dim=0).to(torch.uint8)
    best = enlarge(logits[:1], size)[0].numpy()
    channel = torch.empty((1, 1, *size))
    labels, is_better = np.zeros(size, dtype=np.uint8), np.empty(size, dtype=np.uint8)
    for index in range(1, len(logits)):
        torch.ops.aten.upsample_bilinear2d.out(logits[None, index : index + 1], size, False, out=channel)
        values = channel[0, 0].numpy()
        cv2.compare(values, best, cv2.CMP_GT, dst=is_better)  # 255 where true
        cv2.max(values, best, dst=best)
        # The index only grows, so the new label wins where it is written at all.
        np.bitwise_and(is_better, np.uint8(index), out=is_better)
        cv2.max(labels, is_better, dst=labels)
    return torch.from_numpy(labels)
