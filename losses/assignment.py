"""Which points of a dense head learn which truth box, and to what score: what assigners share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from pocketvision.core.boxes import box_iou


class Assignment(NamedTuple):
    """For N images and A points: ``matches`` (N, A) index truth boxes, -1 for none; ``quality`` (N, A) in
    [0, 1] is the score that the class of the truth should reach, 0 for none."""

    matches: Tensor
    quality: Tensor


class Predicted(NamedTuple):
    """What points say now: ``scores`` (N, A, K) in [0, 1], ``boxes`` (N, A, 4), ``anchors`` (A, 4)."""

    scores: Tensor
    boxes: Tensor
    anchors: Tensor


class Truths(NamedTuple):
    """Truth of N images: ``boxes`` (N, G, 4), ``labels`` (N, G), ``is_box`` (N, G), False for padding."""

    boxes: Tensor
    labels: Tensor
    is_box: Tensor


class Assigner(Protocol):
    """Decides from what points say now which of them learn which truth."""

    def __call__(self, predicted: Predicted, truths: Truths) -> Assignment: ...


class BatchAssigner(ABC):
    """An assigner for a padded batch of images at once, from the IoU of every truth and predicted box.

    If ``normalized``, qualities are shares of the truth's best: rare and small objects are to score as high
    as others from the start.
    """

    normalized: bool

    @torch.no_grad()
    def __call__(self, predicted: Predicted, truths: Truths) -> Assignment:
        """Assign the points of N images; every tensor is on one device."""
        num_images, num_boxes = truths.is_box.shape
        if num_boxes == 0:
            return nothing(num_images, len(predicted.anchors), predicted.anchors)
        found = self.assign(predicted, truths, box_iou(truths.boxes, predicted.boxes))
        return normalize(found, num_boxes) if self.normalized else found

    @abstractmethod
    def assign(self, predicted: Predicted, truths: Truths, iou: Tensor) -> Assignment:
        """Assign where there are truths; ``iou`` is (N, G, A)."""


@dataclass(frozen=True)
class FirstMatcher:
    """What ``assigner`` matches when training begins: every point says its anchor, and all classes alike."""

    assigner: Assigner

    def __call__(self, boxes: Tensor, is_box: Tensor, anchors: Tensor) -> Tensor:
        """Match boxes (N, G, 4), of which ``is_box`` (N, G) are no padding, with anchors (A, 4).

        Returns:
            (N, A) int64: index into G, or -1 for anchors without a truth box.
        """
        num_images = len(boxes)
        scores = anchors.new_full((num_images, len(anchors), 1), 0.5)
        predicted = Predicted(scores, anchors.expand(num_images, -1, -1), anchors)
        labels = torch.zeros_like(is_box, dtype=torch.int64)
        return self.assigner(predicted, Truths(boxes, labels, is_box)).matches


def nothing(num_images: int, num_points: int, like: Tensor) -> Assignment:
    """No truths, no matches."""
    matches = torch.full((num_images, num_points), -1, device=like.device)
    return Assignment(matches, like.new_zeros(num_images, num_points))


def normalize(assignment: Assignment, num_boxes: int) -> Assignment:
    """Scale the qualities of each of ``num_boxes`` truths so that its best is 1; all of them if all are 0."""
    matches, quality = assignment
    is_matched = matches >= 0
    place = torch.where(is_matched, matches, num_boxes)
    best = quality.new_zeros(len(quality), num_boxes + 1).scatter_reduce_(1, place, quality, reduce="amax")
    own_best = best.gather(1, place)
    scaled = torch.where(own_best > 0, quality / own_best, 1.0)
    return Assignment(matches, torch.where(is_matched, scaled, 0.0))


def scores_of(scores: Tensor, labels: Tensor) -> Tensor:
    """Scores (N, A, K) of each truth's class, labels (N, G) -> (N, G, A)."""
    index = labels[:, :, None].expand(-1, -1, scores.shape[1])
    return scores.transpose(1, 2).gather(1, index)


def points_inside(anchors: Tensor, truths: Truths) -> Tensor:
    """Whether centers of anchors (A, 4) are inside truths: (N, G, A); a truth with none has the nearest."""
    centers = (anchors[:, :2] + anchors[:, 2:]) / 2
    low, high = truths.boxes[:, :, None, :2], truths.boxes[:, :, None, 2:]
    inside = ((centers > low) & (centers < high)).all(dim=-1)
    distance = ((low + high) / 2 - centers).square().sum(dim=-1)
    nearest = torch.zeros_like(inside).scatter_(2, distance.argmin(dim=2, keepdim=True), True)
    is_empty = ~inside.any(dim=2, keepdim=True)
    return (inside | (nearest & is_empty)) & truths.is_box[..., None]


def largest(values: Tensor, counts: Tensor) -> Tensor:
    """Where the ``counts`` (N, G) largest of ``values`` (N, G, A) are, of equal ones the first: (N, G, A)."""
    best = values.topk(int(counts.max()), dim=2).values
    least = best.gather(2, counts[..., None] - 1)
    is_larger, is_equal = values > least, values == least
    left = counts[..., None] - is_larger.sum(dim=2, keepdim=True)
    return is_larger | (is_equal & (is_equal.cumsum(dim=2) <= left))


def each_point_once(chosen: Tensor, iou: Tensor) -> Tensor:
    """Of several truths that chose a point the one with the largest IoU keeps it; both (N, G, A)."""
    best = iou.masked_fill(~chosen, -1.0).argmax(dim=1, keepdim=True)
    return chosen & torch.zeros_like(chosen).scatter_(1, best, True)


def matches_of(chosen: Tensor) -> Tensor:
    """The truth that chose each point, or -1: (N, G, A), at most one a point -> (N, A)."""
    return torch.where(chosen.any(dim=1), chosen.float().argmax(dim=1), -1)
