"""How far predicted boxes are from the truth: in deltas, or where they decode to."""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from pocketvision.core.boxes import box_area
from pocketvision.core.protocols import BoxCoder

BoxLossKind = Literal["smooth_l1", "giou", "ciou"]
_EPSILON = 1e-7


def check_box_loss(kind: str) -> None:
    """Raise :class:`ValueError` for an unknown kind."""
    if kind not in get_args(BoxLossKind):
        raise ValueError(f"box_loss is {kind!r}: choose from {', '.join(get_args(BoxLossKind))}.")


def box_loss(kind: BoxLossKind, deltas: Tensor, boxes: Tensor, anchors: Tensor, coder: BoxCoder) -> Tensor:
    """Summed loss () of deltas, boxes and anchors, all (M, 4); boxes and anchors are xyxy pixels.

    ``smooth_l1`` of the deltas sums their 4 numbers (arXiv:1512.02325, eq. 2); ``giou`` (arXiv:1902.09630)
    and ``ciou`` (arXiv:1911.08287, eq. 10) are 1 less that measure of the decoded boxes. These are at
    most about 2 a box, where smooth L1 starts around 5: weigh them twice or more.
    """
    if kind == "smooth_l1":
        return F.smooth_l1_loss(deltas, coder.encode(boxes, anchors), reduction="sum")
    predicted = coder.decode(deltas, anchors)
    return (1 - (giou if kind == "giou" else ciou)(predicted, boxes)).sum()


def aligned_iou(boxes1: Tensor, boxes2: Tensor) -> tuple[Tensor, Tensor]:
    """IoU and union of pairs: (M, 4) and (M, 4) xyxy -> two of (M,)."""
    overlap = torch.minimum(boxes1[:, 2:], boxes2[:, 2:]) - torch.maximum(boxes1[:, :2], boxes2[:, :2])
    width, height = overlap.clamp(min=0).unbind(1)
    intersection = width * height
    union = box_area(boxes1) + box_area(boxes2) - intersection
    return intersection / (union + _EPSILON), union


def giou(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    """IoU less the share of the enclosing box that neither covers: (M, 4), (M, 4) xyxy -> (M,) in [-1, 1]."""
    iou, union = aligned_iou(boxes1, boxes2)
    width, height = _enclosing(boxes1, boxes2).unbind(1)
    enclosing = width * height
    return iou - (enclosing - union) / (enclosing + _EPSILON)


def ciou(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    """IoU less the distance of the centers and the difference in shape: (M, 4), (M, 4) xyxy -> (M,)."""
    iou, _ = aligned_iou(boxes1, boxes2)
    diagonal = _enclosing(boxes1, boxes2).square().sum(dim=1)
    distance = (boxes1[:, :2] + boxes1[:, 2:] - boxes2[:, :2] - boxes2[:, 2:]).square().sum(dim=1) / 4
    angles = [
        torch.atan((boxes[:, 2] - boxes[:, 0]) / (boxes[:, 3] - boxes[:, 1] + _EPSILON))
        for boxes in (boxes1, boxes2)
    ]
    shape = 4 / math.pi**2 * (angles[0] - angles[1]).square()
    with torch.no_grad():
        share = shape / (1 - iou + shape + _EPSILON)
    return iou - distance / (diagonal + _EPSILON) - share * shape


def _enclosing(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    """Width and height (M, 2) of the smallest boxes around pairs."""
    return torch.maximum(boxes1[:, 2:], boxes2[:, 2:]) - torch.minimum(boxes1[:, :2], boxes2[:, :2])
