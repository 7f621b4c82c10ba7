"""Which anchor learns which truth box."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pocketvision.core.boxes import box_iou


@dataclass(frozen=True)
class IoUMatcher:
    """SSD's matcher (arXiv:1512.02325, sec. 2.2), for a padded batch of images at once.

    An anchor is matched to the truth box that it overlaps most if the IoU is at least
    ``iou_threshold``; besides, every truth box takes its best anchor. Where two truth boxes share
    their best anchor, the later one gets it, as in torchvision.
    """

    iou_threshold: float = 0.5

    def __call__(self, boxes: Tensor, is_box: Tensor, anchors: Tensor) -> Tensor:
        """Match boxes (N, G, 4), of which ``is_box`` (N, G) are no padding, with anchors (A, 4).

        Returns:
            (N, A) int64: index into G, or -1 for anchors without a truth box.
        """
        num_images, num_boxes = is_box.shape
        if num_boxes == 0:
            return torch.full((num_images, len(anchors)), -1, device=anchors.device)
        iou = box_iou(boxes, anchors).masked_fill(~is_box[..., None], -1.0)
        best_iou, matches = iou.max(dim=1)
        matches[best_iou < self.iou_threshold] = -1
        numbers = torch.arange(num_boxes, device=boxes.device).expand(num_images, -1)
        forced = torch.full_like(matches, -1).scatter_reduce_(
            1, iou.argmax(dim=2), numbers.masked_fill(~is_box, -1), reduce="amax"
        )
        return torch.where(forced >= 0, forced, matches)
