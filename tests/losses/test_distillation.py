"""What a head learns from a larger one, against a loop over images and points."""

from __future__ import annotations

import math

import pytest
import torch

from pocketvision.core.anchors import CellAnchors
from pocketvision.core.structures import DetectionOutput, DistributionOutput
from pocketvision.losses import Distillation, PixelDistillation

ANCHORS = CellAnchors(2.0)([(2, 3)], (16, 24))


def output(seed: int, reg_max: int = 4) -> DistributionOutput:
    rng = torch.Generator().manual_seed(seed)
    sides = torch.randn(2, len(ANCHORS), 4, reg_max + 1, generator=rng).double().requires_grad_()
    logits = 3 * torch.randn(2, len(ANCHORS), 3, generator=rng).double()
    return DistributionOutput(logits.requires_grad_(), torch.ones(2, len(ANCHORS), 4), ANCHORS, sides)


def softened(logits: list[float], temperature: float) -> list[float]:
    powers = [math.exp(logit / temperature) for logit in logits]
    return [power / sum(powers) for power in powers]


def test_both_losses_equal_a_loop() -> None:
    own, teacher = output(0), output(1)
    classes = distributions = weights = 0.0
    for image in range(2):
        for point in range(len(ANCHORS)):
            wanted = teacher.class_logits[image, point].sigmoid().tolist()
            scores = own.class_logits[image, point].sigmoid().tolist()
            weight = max(wanted)
            weights += weight
            for t, s in zip(wanted, scores, strict=True):
                classes -= (t - s) ** 2 * (t * math.log(s) + (1 - t) * math.log(1 - s))
            for side in range(4):
                p = softened(teacher.box_distributions[image, point, side].tolist(), 3.0)
                q = softened(own.box_distributions[image, point, side].tolist(), 3.0)
                divergence = sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
                distributions += weight * 9 * divergence / 4
    found = Distillation(class_weight=2.0, distribution_weight=0.5, temperature=3.0)(own, teacher)
    assert found["teacher_class_loss"].item() == pytest.approx(2 * classes / max(weights, 1), rel=1e-5)
    assert found["teacher_distribution_loss"].item() == pytest.approx(
        0.5 * distributions / max(weights, 1), rel=1e-5
    )


def test_the_teacher_itself_has_nothing_to_learn_and_learns_nothing() -> None:
    own, teacher = output(0), output(1)
    sum(Distillation()(own, teacher).values()).backward()  # type: ignore[union-attr]
    assert own.class_logits.grad is not None and own.box_distributions.grad is not None
    assert teacher.class_logits.grad is None and teacher.box_distributions.grad is None
    same = output(1)
    losses = Distillation()(same, teacher)
    sum(losses.values()).backward()  # type: ignore[union-attr]
    assert losses["teacher_distribution_loss"].item() == pytest.approx(0, abs=1e-6)
    for learned in (same.class_logits, same.box_distributions):
        assert learned.grad is not None and learned.grad.abs().max() < 1e-6


def test_heads_without_distributions_learn_the_scores() -> None:
    own, teacher = output(0), output(1)
    plain = DetectionOutput(*own[:3])
    assert Distillation()(plain, teacher).keys() == {"teacher_class_loss"}
    assert Distillation()(own, DetectionOutput(*teacher[:3])).keys() == {"teacher_class_loss"}


def test_pixels_equal_a_loop() -> None:
    rng = torch.Generator().manual_seed(0)
    own, teacher = (
        torch.randn(2, 3, 2, 4, generator=rng).double(),
        torch.randn(2, 3, 2, 4, generator=rng).double(),
    )
    total = 0.0
    for image in range(2):
        for y in range(2):
            for x in range(4):
                p = softened(teacher[image, :, y, x].tolist(), 3.0)
                q = softened(own[image, :, y, x].tolist(), 3.0)
                total += 9 * sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
    found = PixelDistillation(weight=0.5, temperature=3.0)(own, teacher)
    assert found["teacher_pixel_loss"].item() == pytest.approx(0.5 * total / 16, rel=1e-5)


def test_a_finer_map_teaches_a_coarser_one() -> None:
    coarse = torch.randn(1, 3, 2, 4)
    finer = coarse.repeat_interleave(3, dim=2).repeat_interleave(3, dim=3)
    assert PixelDistillation()(coarse, finer)["teacher_pixel_loss"].item() == pytest.approx(0, abs=1e-6)
