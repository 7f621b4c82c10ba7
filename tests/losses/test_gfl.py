"""The dense loss against a loop over images, points and classes."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torchvision.ops import generalized_box_iou_loss

from pocketvision.core.anchors import CellAnchors
from pocketvision.core.distances import DistanceBoxCoder
from pocketvision.core.structures import BoxTarget, DetectionOutput, DistributionOutput
from pocketvision.losses import GFLLoss
from pocketvision.losses.assignment import Predicted, Truths
from pocketvision.losses.gfl import distribution_losses
from pocketvision.losses.ssd import pad_targets

ANCHORS = CellAnchors(2.0)([(4, 4), (2, 2)], (32, 32))


def target(boxes: list[list[float]], labels: list[int]) -> BoxTarget:
    return BoxTarget(torch.tensor(boxes).reshape(-1, 4), torch.tensor(labels, dtype=torch.long), 0, (32, 32))


TARGETS = [target([[1, 2, 20, 18], [14, 3, 31, 30]], [2, 0]), target([], [])]


def output(reg_max: int) -> DetectionOutput | DistributionOutput:
    rng = torch.Generator().manual_seed(3)
    logits = torch.randn(2, len(ANCHORS), 3, generator=rng).requires_grad_()
    if not reg_max:
        return DetectionOutput(
            logits, torch.rand(2, len(ANCHORS), 4, generator=rng).requires_grad_(), ANCHORS
        )
    sides = torch.randn(2, len(ANCHORS), 4, reg_max + 1, generator=rng).requires_grad_()
    distances = (sides.softmax(-1) * torch.arange(reg_max + 1)).sum(-1) * 2 / reg_max
    return DistributionOutput(logits, distances, ANCHORS, sides)


@pytest.mark.parametrize("kind", ["quality", "varifocal"])
@pytest.mark.parametrize("reg_max", [0, 7])
def test_a_loop_gives_the_same(kind: Any, reg_max: int) -> None:
    predicted, loss = output(reg_max), GFLLoss(kind=kind)
    boxes = DistanceBoxCoder().decode(predicted.box_deltas, ANCHORS)
    scores = predicted.class_logits.sigmoid()
    matches, quality = loss.assigner(Predicted(scores, boxes, ANCHORS), Truths(*pad_targets(TARGETS)))
    assert 0 < (matches >= 0).sum() < matches.numel()
    classes, box, sides = (torch.zeros(()) for _ in range(3))
    for image, points in enumerate(matches.tolist()):
        for point, match in enumerate(points):
            y = quality[image, point]
            for k in range(3):
                s = scores[image, point, k]
                aim = y if match >= 0 and TARGETS[image].labels[match] == k else torch.zeros(())
                entropy = -(aim * s.log() + (1 - aim) * (1 - s).log())
                if kind == "quality":
                    classes = classes + (aim - s) ** 2 * entropy
                else:
                    classes = classes + (aim if aim > 0 else 0.75 * s**2) * entropy
            if match >= 0:
                truth = TARGETS[image].boxes[match]
                box = box + y * generalized_box_iou_loss(boxes[image, point], truth)
                if isinstance(predicted, DistributionOutput):
                    distance = DistanceBoxCoder().encode(truth, ANCHORS[point])
                    logits = predicted.box_distributions[image, point]
                    sides = sides + y * by_hand(logits, distance)
    found = loss(predicted, TARGETS)
    total = quality.sum().clamp(min=1)
    torch.testing.assert_close(found["class_loss"], classes / total)
    torch.testing.assert_close(found["box_loss"], 2 * box / total, rtol=1e-4, atol=1e-5)
    if reg_max:
        torch.testing.assert_close(found["distribution_loss"], 0.25 * sides / total)
    else:
        assert "distribution_loss" not in found


def by_hand(logits: Tensor, distances: Tensor) -> Tensor:
    """Mean over the sides, with distances beyond the last value taken for it."""
    losses = []
    for row, distance in zip(logits, distances.tolist(), strict=True):
        distance = min(max(distance * (len(row) - 1) / 2, 0.0), len(row) - 1 - 0.01)
        low = math.floor(distance)
        probabilities = row.softmax(0)
        near, far = probabilities[low].log(), probabilities[low + 1].log()
        losses.append(-((low + 1 - distance) * near + (distance - low) * far))
    return torch.stack(losses).mean()


def test_a_certain_distribution_costs_nothing() -> None:
    logits = torch.full((1, 4, 8), -50.0)
    logits[:, :, 3] = 50.0
    assert distribution_losses(logits, torch.full((1, 4), 3.0 * 2 / 7)) < 1e-6
    assert distribution_losses(logits, torch.full((1, 4), 5.0 * 2 / 7)) > 50


def test_a_guide_decides_for_both() -> None:
    own, guide, loss = output(7), output(0), GFLLoss()
    found = loss.guided(own, guide, TARGETS)
    assert {name: found[f"guide_{name}"] for name in ("class_loss", "box_loss")} == loss(guide, TARGETS)
    assert loss.guided(own, own, TARGETS)["class_loss"] == loss(own, TARGETS)["class_loss"]
    assert found["class_loss"] != loss(own, TARGETS)["class_loss"]
    sum(found.values(), torch.zeros(())).backward()  # type: ignore[no-untyped-call]
    assert own.class_logits.grad is not None and guide.class_logits.grad is not None


def test_images_without_boxes_teach() -> None:
    predicted = output(7)
    losses = GFLLoss()(predicted, [target([], []), target([], [])])
    sum(losses.values(), torch.zeros(())).backward()  # type: ignore[no-untyped-call]
    assert losses["box_loss"] == 0 and losses["distribution_loss"] == 0
    assert predicted.class_logits.grad is not None and (predicted.class_logits.grad > 0).all()


def test_an_unknown_kind() -> None:
    with pytest.raises(ValueError, match="kind is 'focal': choose from quality, varifocal"):
        GFLLoss(kind="focal")  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["quality", "varifocal"])
def test_class_weights_weigh_decisions_for_the_own_class(kind: Any) -> None:
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(2, 5, 3, generator=generator)
    truth = torch.zeros(2, 5, 3)
    truth[0, 1, 2], truth[1, 4, 0] = 0.7, 0.2
    plain = GFLLoss(kind=kind).class_losses(logits, truth)
    found = GFLLoss(kind=kind, class_weights=(3.0, 9.0, 0.5)).class_losses(logits, truth)
    wanted = plain.clone()
    wanted[0, 1, 2] *= 0.5
    wanted[1, 4, 0] *= 3
    torch.testing.assert_close(found, wanted)
    predicted = output(7)
    before, after = GFLLoss(kind=kind), GFLLoss(kind=kind, class_weights=(2.0, 1.0, 2.0))
    both = before(predicted, TARGETS), after(predicted, TARGETS)
    assert both[1]["class_loss"] > both[0]["class_loss"]
    assert all(torch.equal(both[0][name], both[1][name]) for name in ("box_loss", "distribution_loss"))
