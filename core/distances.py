"""Boxes as distances from the center of an anchor to their four sides."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pocketvision.core.boxes import to_center_size


@dataclass(frozen=True)
class DistanceBoxCoder:
    """Deltas are (left, top, right, bottom): distances in units of the anchor's size (FCOS, arXiv:1904.01355, eq. 1).

    A negative distance is a side on the other side of the center; encoding gives it, decoding takes it.
    """

    def encode(self, boxes: Tensor, anchors: Tensor) -> Tensor:
        """Deltas (..., 4) of ``boxes`` as seen from ``anchors``, both (..., 4) xyxy."""
        center, size = to_center_size(anchors)
        return torch.cat(((center - boxes[..., :2]) / size, (boxes[..., 2:] - center) / size), dim=-1)

    def decode(self, deltas: Tensor, anchors: Tensor) -> Tensor:
        """Boxes (..., 4) xyxy from ``deltas`` and ``anchors``, both (..., 4)."""
        center, size = to_center_size(anchors)
        return torch.cat((center - deltas[..., :2] * size, center + deltas[..., 2:] * size), dim=-1)
