"""Assigners that give a truth the points for which it costs least, as many as its boxes overlap it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pocketvision.losses.assignment import (
    Assignment,
    BatchAssigner,
    Predicted,
    Truths,
    largest,
    points_inside,
    scores_of,
)


@dataclass(frozen=True)
class DynamicSoftLabelAssigner(BatchAssigner):
    """NanoDet-Plus' assigner (RangiLyu/nanodet, ``DynamicSoftLabelAssigner``), for a padded batch of images.

    Points inside any truth are candidates. A truth and a point cost the quality focal loss of the point's
    scores against their IoU, plus ``iou_weight`` x -ln IoU. Each truth takes its k cheapest points, where k
    is the sum of its ``num_ious`` largest IoUs, rounded down, and at least 1; a point that two truths want
    goes to the cheaper. A match's quality is its IoU, or its share of the truth's best if ``normalized``.
    """

    num_ious: int = 13
    iou_weight: float = 3.0
    normalized: bool = False

    def assign(self, predicted: Predicted, truths: Truths, iou: Tensor) -> Assignment:
        """Assign where there are truths; ``iou`` is (N, G, A)."""
        is_candidate = (
            points_inside(predicted.anchors, truths).any(dim=1, keepdim=True) & truths.is_box[..., None]
        )
        scores = scores_of(predicted.scores, truths.labels)
        all_classes = (_cross_entropy(predicted.scores, 0.0) * predicted.scores.square()).sum(dim=2)[:, None]
        own_class = _cross_entropy(scores, iou) * (iou - scores).square()
        class_cost = all_classes - _cross_entropy(scores, 0.0) * scores.square() + own_class
        cost = class_cost - self.iou_weight * iou.clamp(min=1e-7).log()
        cost, iou = cost.masked_fill(~is_candidate, torch.inf), iou.masked_fill(~is_candidate, 0.0)
        return cheapest(cost, iou, self.num_ious)


@dataclass(frozen=True)
class SimOTAAssigner(BatchAssigner):
    """YOLOX's assigner (arXiv:2107.08430, sec. 2.1), for a padded batch of images at once.

    Candidates are points inside any truth, or within ``center_radius`` anchors' sides of its center. A truth
    and a point cost the cross-entropy of the point's scores, plus ``iou_weight`` x -ln IoU, plus 1e5 where
    the point is not both inside the truth and near its center. The rest is as for
    :class:`DynamicSoftLabelAssigner`, with ``num_ious`` 10; PicoDet's ``iou_weight`` is 6. The radius is the
    paper's 2.5 strides for anchors 7 strides wide.
    """

    num_ious: int = 10
    iou_weight: float = 3.0
    center_radius: float = 2.5 / 7
    normalized: bool = False

    def assign(self, predicted: Predicted, truths: Truths, iou: Tensor) -> Assignment:
        """Assign where there are truths; ``iou`` is (N, G, A)."""
        inside, is_near = points_inside(predicted.anchors, truths), self._near(predicted.anchors, truths)
        is_candidate = (inside | is_near).any(dim=1, keepdim=True) & truths.is_box[..., None]
        scores = scores_of(predicted.scores, truths.labels)
        all_classes = _cross_entropy(predicted.scores, 0.0).sum(dim=2)[:, None]
        class_cost = all_classes - _cross_entropy(scores, 0.0) + _cross_entropy(scores, 1.0)
        cost = class_cost.double() - self.iou_weight * iou.clamp(min=1e-7).log() + 1e5 * ~(inside & is_near)
        cost, iou = cost.masked_fill(~is_candidate, torch.inf), iou.masked_fill(~is_candidate, 0.0)
        return cheapest(cost, iou, self.num_ious)

    def _near(self, anchors: Tensor, truths: Truths) -> Tensor:
        centers, sides = (anchors[:, :2] + anchors[:, 2:]) / 2, anchors[:, 2:] - anchors[:, :2]
        middles = (truths.boxes[..., None, :2] + truths.boxes[..., None, 2:]) / 2
        return ((middles - centers).abs() < self.center_radius * sides).all(dim=-1) & truths.is_box[..., None]


def cheapest(cost: Tensor, iou: Tensor, num_ious: int) -> Assignment:
    """Each truth's k cheapest points, k from its IoUs; both (N, G, A), where excluded infinite and 0."""
    wanted = iou.topk(min(num_ious, cost.shape[2]), dim=2).values.sum(dim=2).long().clamp(min=1)
    chosen = largest(-cost, wanted) & cost.isfinite()
    best_cost, matches = cost.masked_fill(~chosen, torch.inf).min(dim=1)
    is_matched = best_cost.isfinite()
    quality = iou.gather(1, matches[:, None]).squeeze(1)
    return Assignment(torch.where(is_matched, matches, -1), torch.where(is_matched, quality, 0.0))


def _cross_entropy(scores: Tensor, truth: Tensor | float) -> Tensor:
    """Binary cross-entropy of scores in [0, 1], bounded as torch's is."""
    low, high = scores.clamp(min=1e-12).log(), (1 - scores).clamp(min=1e-12).log()
    return -(truth * low + (1 - truth) * high)
