"""The matcher against loops and torchvision's."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torchvision.models.detection._utils import SSDMatcher
from torchvision.ops import box_iou

from pocketvision.losses import IoUMatcher


def random_boxes(count: int, seed: int, size: float = 100.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=generator) * size
    return torch.cat((corner, corner + 4 + torch.rand(count, 2, generator=generator) * size / 2), dim=-1)


def pad(images: list[Tensor]) -> tuple[Tensor, Tensor]:
    most = max(len(boxes) for boxes in images)
    padded, is_box = torch.zeros(len(images), most, 4), torch.zeros(len(images), most, dtype=torch.bool)
    for i, boxes in enumerate(images):
        padded[i, : len(boxes)], is_box[i, : len(boxes)] = boxes, True
    return padded, is_box


def by_loops(boxes: Tensor, anchors: Tensor, threshold: float) -> list[int]:
    iou = box_iou(boxes, anchors).tolist()
    matches = []
    for a in range(len(anchors)):
        best = max(range(len(boxes)), key=lambda g: iou[g][a], default=-1)
        matches.append(best if best >= 0 and iou[best][a] >= threshold else -1)
    for g in range(len(boxes)):
        matches[max(range(len(anchors)), key=lambda a: iou[g][a])] = g
    return matches


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("threshold", [0.3, 0.5])
def test_padded_batches_equal_loops_and_torchvision(seed: int, threshold: float) -> None:
    anchors = random_boxes(300, seed)
    images = [random_boxes(count, 100 + seed + count) for count in (7, 0, 1, 25)]
    matches = IoUMatcher(threshold)(*pad(images), anchors)
    assert matches.dtype == torch.int64 and matches.shape == (4, 300)
    for boxes, ours in zip(images, matches, strict=True):
        assert ours.tolist() == by_loops(boxes, anchors, threshold)
        if len(boxes):
            assert torch.equal(ours, SSDMatcher(threshold)(box_iou(boxes, anchors)))


@pytest.mark.parametrize(("width", "expected"), [(5.0, 0), (4.99, -1)])
def test_an_overlap_of_exactly_the_threshold_matches(width: float, expected: int) -> None:
    """The second anchor lies inside the box and is half of it; the first one is the box's best."""
    anchors = torch.tensor([[0.0, 0, 10, 10], [0, 0, width, 10]])
    boxes = torch.tensor([[0.0, 0, 10, 10]])
    assert IoUMatcher(0.5)(*pad([boxes]), anchors).tolist() == [[0, expected]]


def test_several_boxes_that_share_their_best_anchor() -> None:
    anchors = torch.tensor([[0.0, 0, 10, 10], [50, 50, 60, 60]])
    boxes = torch.tensor([[0.0, 0, 10, 9], [0, 0, 10, 10], [0, 0, 9, 9], [49, 49, 60, 60]])
    for order in ([0, 1, 2, 3], [2, 1, 0, 3], [3, 2, 1, 0]):
        matches = IoUMatcher(0.5)(*pad([boxes[order]]), anchors)[0]
        assert torch.equal(matches, SSDMatcher(0.5)(box_iou(boxes[order], anchors)))
        assert matches[0] == max(i for i, number in enumerate(order) if number != 3)


def test_every_box_has_an_anchor_however_small_it_is() -> None:
    anchors, boxes = random_boxes(200, 0), random_boxes(3, 1)
    boxes[:, 2:] = boxes[:, :2] + 0.5
    matches = IoUMatcher(0.5)(*pad([boxes]), anchors)
    covered = box_iou(boxes, anchors).amax(dim=1) > 0
    assert set(torch.arange(3)[covered].tolist()) <= set(matches[0].tolist())


def test_padding_does_not_change_a_match() -> None:
    anchors, boxes = random_boxes(100, 2), random_boxes(4, 3)
    alone = IoUMatcher()(*pad([boxes]), anchors)[0]
    assert torch.equal(IoUMatcher()(*pad([boxes, random_boxes(60, 4)]), anchors)[0], alone)


@pytest.mark.parametrize("num_images", [0, 1, 3])
def test_no_boxes_at_all(num_images: int) -> None:
    anchors = random_boxes(10, 0)
    none = torch.zeros(num_images, 0, 4), torch.zeros(num_images, 0, dtype=torch.bool)
    matches = IoUMatcher()(*none, anchors)
    assert matches.dtype == torch.int64 and torch.equal(matches, torch.full((num_images, 10), -1))
    padding = torch.zeros(num_images, 2, 4), torch.zeros(num_images, 2, dtype=torch.bool)
    assert torch.equal(IoUMatcher()(*padding, anchors), matches)
