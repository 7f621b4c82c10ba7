"""Which points of a dense head learn which truth box, and to what score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from pocketvision.core.boxes import box_iou


class Assignment(NamedTuple):
    """For N images and A points: ``matches`` (N, A) index truth boxes, -1 for none; ``quality`` (N, A) in
    [0, 1] is the score that the class of the truth should reach, 0 for none."""

    matches: Tensor
    quality: Tensor


class Predicted(NamedTuple):
    """What points say now, detached: ``scores`` (N, A, K) in [0, 1], ``boxes`` (N, A, 4), ``anchors`` (A, 4)."""

    scores: Tensor
    boxes: Tensor
    anchors: Tensor


class Truths(NamedTuple):
    """Padded truth of N images: ``boxes`` (N, G, 4), ``labels`` (N, G), ``is_box`` (N, G) False for padding."""

    boxes: Tensor
    labels: Tensor
    is_box: Tensor


@dataclass(frozen=True)
class TaskAlignedAssigner:
    """TOOD's assigner (arXiv:2108.07755, sec. 3.2), for a padded batch of images at once.

    The ``num_candidates`` points inside a truth whose score^``alpha`` x IoU^``beta`` is largest learn it; of
    two truths a point takes the one that its box overlaps more. Their qualities are that measure, scaled so
    that a truth's largest is its largest IoU. A truth that holds no point has the nearest one.
    """

    alpha: float = 1.0
    beta: float = 6.0
    num_candidates: int = 13

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
        return Assignment(matches, quality.amax(dim=1))


def nothing(num_images: int, num_points: int, like: Tensor) -> Assignment:
    """No truths, no matches."""
    matches = torch.full((num_images, num_points), -1, device=like.device)
    return Assignment(matches, like.new_zeros(num_images, num_points))


def scores_of(scores: Tensor, labels: Tensor) -> Tensor:
    """Scores (N, A, K) of each truth's class, labels (N, G) -> (N, G, A)."""
    index = labels[:, :, None].expand(-1, -1, scores.shape[1])
    return scores.transpose(1, 2).gather(1, index)


def points_inside(anchors: Tensor, truths: Truths) -> Tensor:
    """Whether the center of each anchor (A, 4) is inside each truth: (N, G, A); a truth with none has the nearest."""
    centers = (anchors[:, :2] + anchors[:, 2:]) / 2
    low, high = truths.boxes[:, :, None, :2], truths.boxes[:, :, None, 2:]
    inside = ((centers > low) & (centers < high)).all(dim=-1)
    distance = ((low + high) / 2 - centers).square().sum(dim=-1)
    nearest = torch.zeros_like(inside).scatter_(2, distance.argmin(dim=2, keepdim=True), True)
    is_empty = ~inside.any(dim=2, keepdim=True)
    return (inside | (nearest & is_empty)) & truths.is_box[..., None]


def largest(values: Tensor, counts: Tensor) -> Tensor:
    """Where the ``counts`` (N, G) largest of ``values`` (N, G, A) are, the first of equal ones: (N, G, A) bool."""
    best = values.topk(int(counts.max()), dim=2).values
    least = best.gather(2, counts[..., None] - 1)
    is_larger, is_equal = values > least, values == least
    left = counts[..., None] - is_larger.sum(dim=2, keepdim=True)
    return is_larger | (is_equal & (is_equal.cumsum(dim=2) <= left))


def each_point_once(chosen: Tensor, iou: Tensor) -> Tensor:
    """Of several truths that chose a point the one with the largest IoU keeps it; both (N, G, A)."""
    best = iou.masked_fill(~chosen, -1.0).argmax(dim=1, keepdim=True)
    return chosen & torch.zeros_like(chosen).scatter_(1, best, True)


@dataclass(frozen=True)
class DynamicSoftLabelAssigner:
    """NanoDet-Plus' assigner (RangiLyu/nanodet, ``DynamicSoftLabelAssigner``), for a padded batch of images.

    Points inside any truth are candidates. A truth and a point cost the quality focal loss of the point's
    scores against their IoU, plus ``iou_weight`` x -ln IoU. Each truth takes its k cheapest points, where k is
    the sum of its ``num_ious`` largest IoUs, rounded down, and at least 1; a point that two truths want goes
    to the cheaper. A match's quality is its IoU.
    """

    num_ious: int = 13
    iou_weight: float = 3.0

    @torch.no_grad()
    def __call__(self, predicted: Predicted, truths: Truths) -> Assignment:
        """Assign the points of N images; every tensor is on one device."""
        num_images, num_boxes = truths.is_box.shape
        if num_boxes == 0:
            return nothing(num_images, len(predicted.anchors), predicted.anchors)
        iou = box_iou(truths.boxes, predicted.boxes)
        is_candidate = (
            points_inside(predicted.anchors, truths).any(dim=1, keepdim=True) & truths.is_box[..., None]
        )
        scores = scores_of(predicted.scores, truths.labels)
        all_classes = (_cross_entropy(predicted.scores, 0.0) * predicted.scores.square()).sum(dim=2)[:, None]
        own_class = _cross_entropy(scores, iou) * (iou - scores).square()
        class_cost = all_classes - _cross_entropy(scores, 0.0) * scores.square() + own_class
        cost = class_cost - self.iou_weight * iou.clamp(min=1e-7).log()
        return cheapest(
            cost.masked_fill(~is_candidate, torch.inf), iou.masked_fill(~is_candidate, 0.0), self.num_ious
        )


@dataclass(frozen=True)
class SimOTAAssigner:
    """YOLOX's assigner (arXiv:2107.08430, sec. 2.1), for a padded batch of images at once.

    Candidates are points inside any truth, or within ``center_radius`` anchors' sides of its center. A truth
    and a point cost the cross-entropy of the point's scores, plus ``iou_weight`` x -ln IoU, plus 1e5 where the
    point is not both inside the truth and near its center. The rest is as for
    :class:`DynamicSoftLabelAssigner`, with ``num_ious`` 10; PicoDet's ``iou_weight`` is 6.
    """

    num_ious: int = 10
    iou_weight: float = 3.0
    center_radius: float = 2.5

    @torch.no_grad()
    def __call__(self, predicted: Predicted, truths: Truths) -> Assignment:
        """Assign the points of N images; every tensor is on one device."""
        num_images, num_boxes = truths.is_box.shape
        if num_boxes == 0:
            return nothing(num_images, len(predicted.anchors), predicted.anchors)
        iou = box_iou(truths.boxes, predicted.boxes)
        inside, is_near = points_inside(predicted.anchors, truths), self._near(predicted.anchors, truths)
        is_candidate = (inside | is_near).any(dim=1, keepdim=True) & truths.is_box[..., None]
        scores = scores_of(predicted.scores, truths.labels)
        all_classes = _cross_entropy(predicted.scores, 0.0).sum(dim=2)[:, None]
        class_cost = all_classes - _cross_entropy(scores, 0.0) + _cross_entropy(scores, 1.0)
        cost = class_cost.double() - self.iou_weight * iou.clamp(min=1e-7).log() + 1e5 * ~(inside & is_near)
        return cheapest(
            cost.masked_fill(~is_candidate, torch.inf), iou.masked_fill(~is_candidate, 0.0), self.num_ious
        )

    def _near(self, anchors: Tensor, truths: Truths) -> Tensor:
        centers, sides = (anchors[:, :2] + anchors[:, 2:]) / 2, anchors[:, 2:] - anchors[:, :2]
        middles = (truths.boxes[..., None, :2] + truths.boxes[..., None, 2:]) / 2
        return ((middles - centers).abs() < self.center_radius * sides).all(dim=-1) & truths.is_box[..., None]


def cheapest(cost: Tensor, iou: Tensor, num_ious: int) -> Assignment:
    """Each truth's k cheapest points, k from its IoUs; both (N, G, A), infinite cost and IoU 0 where excluded."""
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
