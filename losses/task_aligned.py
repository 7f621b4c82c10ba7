"""The assigner that asks of a point a good score and a good box at once."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pocketvision.losses.assignment import (
    Assignment,
    BatchAssigner,
    Predicted,
    Truths,
    each_point_once,
    largest,
    matches_of,
    points_inside,
    scores_of,
)


@dataclass(frozen=True)
class TaskAlignedAssigner(BatchAssigner):
    """TOOD's assigner (arXiv:2108.07755, sec. 3.2), for a padded batch of images at once.

    The ``num_candidates`` points inside a truth whose score^``alpha`` x IoU^``beta`` is largest learn it; of
    two truths a point takes the one that its box overlaps more. Their qualities are that measure, scaled so
    that a truth's largest is its largest IoU, or 1 if ``normalized``. A truth that holds no point has the
    nearest one.
    """

    alpha: float = 1.0
    beta: float = 6.0
    num_candidates: int = 13
    normalized: bool = False

    def assign(self, predicted: Predicted, truths: Truths, iou: Tensor) -> Assignment:
        """Assign where there are truths; ``iou`` is (N, G, A)."""
        scores = scores_of(predicted.scores, truths.labels)
        inside = points_inside(predicted.anchors, truths)
        metric = (scores**self.alpha * iou**self.beta).masked_fill(~inside, -1.0)
        wanted = torch.full_like(truths.labels, min(self.num_candidates, len(predicted.anchors)))
        chosen = each_point_once(largest(metric, wanted) & inside, iou)
        metric = metric.masked_fill(~chosen, 0.0)
        scale = iou.masked_fill(~chosen, 0.0).amax(dim=2, keepdim=True)
        quality = metric / metric.amax(dim=2, keepdim=True).clamp(min=1e-9) * scale
        return Assignment(matches_of(chosen), quality.amax(dim=1))
