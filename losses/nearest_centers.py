"""The assigner that takes the points near a truth's center whose anchors overlap it more than most."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from pocketvision.core.boxes import box_iou
from pocketvision.losses.assignment import (
    Assignment,
    BatchAssigner,
    Predicted,
    Truths,
    each_point_once,
    largest,
    matches_of,
    points_inside,
)


@dataclass(frozen=True)
class ATSSAssigner(BatchAssigner):
    """ATSS (arXiv:1912.02424, algorithm 1), for a padded batch of images at once.

    Candidates of a truth are the ``num_candidates`` points of each map that are nearest to its center. It
    takes those inside it whose anchor's IoU is at least the candidates' mean plus standard deviation; of two
    truths a point takes the one that its anchor overlaps more. What a point says changes none of this: its
    quality is its predicted box's IoU, or its share of the truth's best if ``normalized``.

    Beyond the paper, a truth that would get none wants the point inside it, or else the nearest one, whose
    anchor overlaps it most.
    """

    num_candidates: int = 9
    normalized: bool = False

    def assign(self, predicted: Predicted, truths: Truths, iou: Tensor) -> Assignment:
        """Assign where there are truths; ``iou`` is (N, G, A)."""
        anchors = predicted.anchors
        is_candidate = self._near(anchors, truths)
        anchor_iou, inside = box_iou(truths.boxes, anchors), points_inside(anchors, truths)
        chosen = is_candidate & inside & (anchor_iou >= _mean_plus_deviation(anchor_iou, is_candidate))
        best = largest(anchor_iou.masked_fill(~inside, -1.0), torch.ones_like(truths.labels)) & inside
        chosen = chosen | (best & ~chosen.any(dim=2, keepdim=True))
        matches = matches_of(each_point_once(chosen, anchor_iou))
        quality = iou.gather(1, matches.clamp(min=0)[:, None]).squeeze(1)
        return Assignment(matches, torch.where(matches >= 0, quality, 0.0))

    def _near(self, anchors: Tensor, truths: Truths) -> Tensor:
        """Each map's nearest points of every truth: (N, G, A)."""
        centers = (anchors[:, :2] + anchors[:, 2:]) / 2
        middles = (truths.boxes[..., None, :2] + truths.boxes[..., None, 2:]) / 2
        distances = (middles - centers).square().sum(dim=-1)
        near = []
        for distance in distances.split_with_sizes(map_lengths(centers), dim=2):
            wanted = torch.full_like(truths.labels, min(self.num_candidates, distance.shape[2]))
            near.append(largest(-distance, wanted))
        return torch.cat(near, dim=2)


def map_lengths(centers: Tensor) -> list[int]:
    """How many of the points (A, 2) each map has: they go row by row, so the next map starts further up or,
    below a map of one row, further left. Maps of one cell that follow each other count as one."""
    step = centers[1:] - centers[:-1]
    is_start = (step[:, 1] < 0) | ((step[:, 1] == 0) & (step[:, 0] < 0))
    starts = [0, *(is_start.nonzero().flatten() + 1).tolist(), len(centers)]
    return [end - start for start, end in pairwise(starts)]


def _mean_plus_deviation(values: Tensor, where: Tensor) -> Tensor:
    """Of the chosen values of each truth, (N, G, A) -> (N, G, 1), in doubles: equal values have no spread."""
    count, exact = where.sum(dim=2, keepdim=True), values.double()
    mean = exact.masked_fill(~where, 0.0).sum(dim=2, keepdim=True) / count
    squares = (exact - mean).square().masked_fill(~where, 0.0).sum(dim=2, keepdim=True)
    return mean + (squares / (count - 1).clamp(min=1)).sqrt()
