"""Box arithmetic on (..., 4) xyxy tensors, and SSD's box coder."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pocketvision.core.structures import Size

if TYPE_CHECKING:
    from torch import Tensor

# PyTorch is imported where it computes: an exported file states its coder without it.


def box_area(boxes: Tensor) -> Tensor:
    """Area of (..., 4) xyxy boxes, (...)."""
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def box_iou(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    """Pairwise IoU: (..., M, 4) and (..., N, 4) xyxy -> (..., M, N). Boxes without area have IoU 0."""
    import torch

    left, top, right, bottom = (side.unsqueeze(-1) for side in boxes1.unbind(-1))
    lefts, tops, rights, bottoms = boxes2.unsqueeze(-3).movedim(-1, 0).contiguous()
    # One coordinate at a time, in place: fresh memory costs more than the arithmetic.
    width = (torch.minimum(right, rights) - torch.maximum(left, lefts)).clamp_(min=0)
    height = (torch.minimum(bottom, bottoms) - torch.maximum(top, tops)).clamp_(min=0)
    intersection = width.mul_(height)
    union = (box_area(boxes1).unsqueeze(-1) + box_area(boxes2).unsqueeze(-2)).sub_(intersection)
    return intersection / union.clamp_(min=torch.finfo(union.dtype).tiny)


def clip_boxes(boxes: Tensor, size: Size) -> Tensor:
    """Clip (..., 4) xyxy boxes to an image of ``size`` (height, width)."""
    import torch

    height, width = size
    x = boxes[..., 0::2].clamp(0, width)
    y = boxes[..., 1::2].clamp(0, height)
    return torch.stack((x[..., 0], y[..., 0], x[..., 1], y[..., 1]), dim=-1)


def to_center_size(boxes: Tensor) -> tuple[Tensor, Tensor]:
    """xyxy (..., 4) -> center (..., 2) as x, y and size (..., 2) as width, height."""
    size = boxes[..., 2:] - boxes[..., :2]
    return boxes[..., :2] + size / 2, size


@dataclass(frozen=True)
class SSDBoxCoder:
    """Center-size box coder of SSD (arXiv:1512.02325, eq. 2) with its variances.

    Deltas are (dx, dy, dw, dh). ``center_variance`` 0.1 and ``size_variance`` 0.2 are the scales
    10, 10, 5, 5 of TensorFlow's Object Detection API. ``max_log_size`` bounds exp() while decoding.
    """

    center_variance: float = 0.1
    size_variance: float = 0.2
    max_log_size: float = math.log(1000 / 16)

    def encode(self, boxes: Tensor, anchors: Tensor) -> Tensor:
        """Deltas (..., 4) that turn ``anchors`` into ``boxes``, both (..., 4) xyxy with area."""
        import torch

        center, size = to_center_size(boxes)
        anchor_center, anchor_size = to_center_size(anchors)
        shift = (center - anchor_center) / anchor_size / self.center_variance
        scale = (size / anchor_size).log() / self.size_variance
        return torch.cat((shift, scale), dim=-1)

    def decode(self, deltas: Tensor, anchors: Tensor) -> Tensor:
        """Boxes (..., 4) xyxy from ``deltas`` and ``anchors``, both (..., 4)."""
        import torch

        anchor_center, anchor_size = to_center_size(anchors)
        center = deltas[..., :2] * self.center_variance * anchor_size + anchor_center
        size = (deltas[..., 2:] * self.size_variance).clamp(max=self.max_log_size).exp() * anchor_size
        return torch.cat((center - size / 2, center + size / 2), dim=-1)
