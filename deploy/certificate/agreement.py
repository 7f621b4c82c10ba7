"""How far two sets of results agree: boxes one to one, pixels, best classes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from pocketvision.core.boxes import box_iou
from pocketvision.core.structures import Detections

SCORE_FLOOR = 0.05
"""Boxes that score less are not compared."""


class Likeness(NamedTuple):
    """When two boxes of one class are the same: IoU of at least ``iou``, scores at most ``score`` apart."""

    iou: float
    score: float


STRICT, LOOSE = Likeness(0.99, 1e-3), Likeness(0.9, 0.05)
"""For float32, and for int8."""


def matched(ours: Detections, theirs: Detections, likeness: Likeness) -> tuple[int, int]:
    """How many of ``ours`` above SCORE_FLOOR have a partner among ``theirs``, and how many there are.

    Each of ``theirs`` is the partner of one box at most; the best overlap is served first.
    """
    wanted = ours.scores > SCORE_FLOOR
    boxes, scores, labels = (value[wanted] for value in ours)
    if not len(scores) or not len(theirs.scores):
        return 0, len(scores)
    ious = box_iou(boxes, theirs.boxes)
    is_same = (ious >= likeness.iou) & (labels[:, None] == theirs.labels)
    is_same &= (scores[:, None] - theirs.scores).abs() <= likeness.score
    pairs = is_same.nonzero()
    order = ious[is_same].argsort(descending=True, stable=True)
    taken: tuple[set[int], set[int]] = set(), set()
    for own, other in pairs[order].tolist():
        if own not in taken[0] and other not in taken[1]:
            taken[0].add(own)
            taken[1].add(other)
    return len(taken[0]), len(scores)


@dataclass
class BoxAgreement:
    """Boxes counted over images: of PyTorch's, how many the artifact has too, and the other way round."""

    counts: dict[str, list[int]] = field(
        default_factory=lambda: {name: [0, 0] for name in ("box_match", "box_match_back", "box_match_loose")}
    )

    def add(self, expected: Detections, found: Detections) -> float:
        """Count in an image; returns the smaller share of the strict matches, both ways."""
        rows = {
            "box_match": matched(expected, found, STRICT),
            "box_match_back": matched(found, expected, STRICT),
            "box_match_loose": matched(expected, found, LOOSE),
        }
        for name, row in rows.items():
            self.counts[name] = [a + b for a, b in zip(self.counts[name], row, strict=True)]
        return min(_share(*rows[name]) for name in ("box_match", "box_match_back"))

    @property
    def num_compared(self) -> int:
        """Boxes above SCORE_FLOOR, of both."""
        return self.counts["box_match"][1] + self.counts["box_match_back"][1]

    def shares(self) -> dict[str, float]:
        """1 where there is nothing to match."""
        return {name: _share(*counts) for name, counts in self.counts.items()}


@dataclass
class ShareAgreement:
    """``name`` is the share of pixels, or of images by their best class, in which both say the same."""

    name: str
    same: int = 0
    total: int = 0

    def add(self, expected: Tensor, found: Tensor) -> float:
        """Count in a label map (H, W), or the scores (K,) of an image; returns the share in it."""
        if expected.is_floating_point():
            expected, found = expected.argmax()[None], found.argmax()[None]
        same = int(torch.eq(expected, found).sum())
        self.same, self.total = self.same + same, self.total + expected.numel()
        return _share(same, expected.numel())

    @property
    def num_compared(self) -> int:
        """Pixels or images."""
        return self.total

    def shares(self) -> dict[str, float]:
        return {self.name: _share(self.same, self.total)}


Agreement = BoxAgreement | ShareAgreement


def make_agreement(task: str) -> Agreement:
    """What counts the agreement of results of a task."""
    if task == "detection":
        return BoxAgreement()
    return ShareAgreement("pixel_agreement" if task == "segmentation" else "top1_agreement")


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 1.0
