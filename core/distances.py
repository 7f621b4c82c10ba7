"""Boxes as distances from the center of an anchor to their four sides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pocketvision.core.boxes import to_center_size

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class DistanceBoxCoder:
    """Deltas are (left, top, right, bottom): how far the sides are from the anchor's center.

    Their unit is how far the anchor's own sides are from it, so that deltas of 1 are the anchor itself
    (FCOS, arXiv:1904.01355, eq. 1, with a stride's anchor for its unit). A negative delta is a side on the
    other side of the center; encoding gives it, decoding takes it.
    """

    def encode(self, boxes: Tensor, anchors: Tensor) -> Tensor:
        """Deltas (..., 4) of ``boxes`` as seen from ``anchors``, both (..., 4) xyxy."""
        import torch

        center, size = to_center_size(anchors)
        half = size / 2
        return torch.cat(((center - boxes[..., :2]) / half, (boxes[..., 2:] - center) / half), dim=-1)

    def decode(self, deltas: Tensor, anchors: Tensor) -> Tensor:
        """Boxes (..., 4) xyxy from ``deltas`` and ``anchors``, both (..., 4)."""
        import torch

        center, size = to_center_size(anchors)
        half = size / 2
        return torch.cat((center - deltas[..., :2] * half, center + deltas[..., 2:] * half), dim=-1)
