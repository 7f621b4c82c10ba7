"""The assigner that asks of a point a good score and a good box at once."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pocketvision.core.boxes import box_iou
from pocketvision.losses.assignment import (
    Assignment,
    Predicted,
    Truths,
    largest,
    normalize,
    nothing,
    points_inside,
    scores_of,
)


@dataclass(frozen=True)
class TaskAlignedAssigner:
    """TOOD's assigner (arXiv:2108.07755, sec. 3.2), for a padded batch of images at once.

    The ``num_candidates`` points inside a truth whose score^``alpha`` x IoU^``beta`` is largest learn it; of
    two truths a point takes the one that its box overlaps more. Their qualities are that measure, scaled so
    that a truth's largest is its largest IoU, or 1 if ``normalized``: then rare and small objects are to
    score as high as others from the start. A truth that holds no point has the nearest one.
    """

    alpha: float = 1.0
    beta: float = 6.0
    num_candidates: int = 13
    normalized: bool = False

    @torch.no_grad()
    def __call__(self, predicted: Predicted, truths: Truths) -> Assignment:
        """Assign the points of N images; every tensor is on one device."""
        num_images, num_boxes = truths.is_box.shape
        num_points = len(predicted.anchors)
        if num_boxes == 0:
            return nothing(num_images, num_points, predicted.anchors)
        iou = box_iou(truths.boxes, predicted.boxes)
        scores = scores_of(predicted.scores, truths.labels)
        inside = points_inside(predicted.anchors, truths)
        metric = (scores**self.alpha * iou**self.beta).masked_fill(~inside, -1.0)
        wanted = torch.full_like(truths.labels, min(self.num_candidates, num_points))
        chosen = each_point_once(largest(metric, wanted) & inside, iou)
        metric = metric.masked_fill(~chosen, 0.0)
        scale = iou.masked_fill(~chosen, 0.0).amax(dim=2, keepdim=True)
        quality = metric / metric.amax(dim=2, keepdim=True).clamp(min=1e-9) * scale
        is_matched = chosen.any(dim=1)
        matches = torch.where(is_matched, chosen.float().argmax(dim=1), -1)
        found = Assignment(matches, quality.amax(dim=1))
        return normalize(found, num_boxes) if self.normalized else found


def each_point_once(chosen: Tensor, iou: Tensor) -> Tensor:
    """Of several truths that chose a point the one with the largest IoU keeps it; both (N, G, A)."""
    best = iou.masked_fill(~chosen, -1.0).argmax(dim=1, keepdim=True)
    return chosen & torch.zeros_like(chosen).scatter_(1, best, True)
