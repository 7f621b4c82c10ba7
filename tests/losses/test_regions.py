"""Dice and Lovasz against loops over classes and pixels, and hard pixels against sorting."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from pocketvision.core.structures import MaskTarget
from pocketvision.losses import DiceLoss, LovaszLoss, SegmentationCrossEntropy

LOSSES = {"dice": DiceLoss(), "lovasz": LovaszLoss()}
NUM_CLASSES = 4


def random_masks(count: int, ignored: float = 0.3) -> Tensor:
    """Without class 2, so that a class is absent."""
    generator = torch.Generator().manual_seed(count)
    masks = torch.tensor([0, 1, 3])[torch.randint(0, 3, (count, 5, 6), generator=generator)]
    masks[torch.rand(masks.shape, generator=generator) < ignored] = 255
    return masks.to(torch.uint8)


def random_logits(count: int) -> Tensor:
    return torch.randn(count, NUM_CLASSES, 5, 6, generator=torch.Generator().manual_seed(0)) * 2


def to_targets(masks: Tensor) -> list[MaskTarget]:
    return [MaskTarget(mask, i, (5, 6)) for i, mask in enumerate(masks)]


def dice_by_hand(scores: np.ndarray, truth: np.ndarray) -> float:
    return 1 - 2 * (scores * truth).sum() / (scores.sum() + truth.sum())


def lovasz_by_hand(scores: np.ndarray, truth: np.ndarray) -> float:
    """Errors, the largest first, times how much each one more adds to the Jaccard loss of a set."""
    errors = np.abs(truth - scores)
    order = np.argsort(-errors)
    loss, before = 0.0, 0.0
    for count in range(1, len(order) + 1):
        wrong = np.zeros(len(order), bool)
        wrong[order[:count]] = True
        found = np.where(wrong, 1 - truth, truth)  # the prediction with these pixels wrong
        union = ((found > 0) | (truth > 0)).sum()
        jaccard_loss = 1 - ((found > 0) & (truth > 0)).sum() / union
        loss += errors[order[count - 1]] * (jaccard_loss - before)
        before = jaccard_loss
    return loss


BY_HAND: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "dice": dice_by_hand,
    "lovasz": lovasz_by_hand,
}


@pytest.mark.parametrize("name", LOSSES)
def test_equal_loops_over_images_and_classes(name: str) -> None:
    logits, masks = random_logits(3), random_masks(3)
    expected = []
    for scores, mask in zip(logits.double().softmax(dim=1).numpy(), masks.numpy(), strict=True):
        valid = mask != 255
        present = np.unique(mask[valid])
        expected.append(
            np.mean([BY_HAND[name](scores[k][valid], (mask[valid] == k).astype(float)) for k in present])
        )
    value = LOSSES[name](logits, to_targets(masks))[name]
    assert value.item() == pytest.approx(np.mean(expected), abs=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_extreme_logits_and_images_without_truth_have_finite_gradients(name: str) -> None:
    masks = random_masks(2)
    masks[1] = 255
    for size in (0.0, 1e4, -1e4):
        logits = (torch.sign(random_logits(2)) * size).requires_grad_()
        value = LOSSES[name](logits, to_targets(masks))[name]
        value.backward()
        assert logits.grad is not None and torch.isfinite(logits.grad).all() and torch.isfinite(value)
        assert not logits.grad[1].any() and not logits.grad[0].flatten(1)[:, masks[0].flatten() == 255].any()


@pytest.mark.parametrize("name", LOSSES)
def test_the_truth_itself_costs_nothing_and_learning_gets_there(name: str) -> None:
    masks = random_masks(2)
    truth = F.one_hot(masks.where(masks != 255, 0).long(), NUM_CLASSES).movedim(-1, 1)
    assert LOSSES[name](truth * 100.0, to_targets(masks))[name].item() == pytest.approx(0, abs=1e-5)
    logits = random_logits(2).half()
    assert LOSSES[name](logits, to_targets(masks))[name].dtype == torch.float32


@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
@pytest.mark.parametrize("weights", [None, (1.0, 0.2, 1.0, 3.0)])
def test_hard_pixels_are_those_of_the_largest_loss(share: float, weights: tuple[float, ...] | None) -> None:
    logits, masks = random_logits(3), random_masks(3)
    masks[2] = 255
    weight = None if weights is None else torch.tensor(weights)
    total, count = 0.0, 0.0
    for image, mask in zip(logits, masks, strict=True):
        losses = F.cross_entropy(
            image[None], mask[None].long(), weight=weight, ignore_index=255, reduction="none"
        )
        ranked = sorted(
            (loss, 1.0 if weights is None else weights[label])
            for loss, label in zip(losses.flatten().tolist(), mask.flatten().tolist(), strict=True)
            if label != 255
        )[::-1]
        chosen = ranked[: int(np.ceil(share * len(ranked) - 1e-6))]
        total, count = total + sum(x for x, _ in chosen), count + sum(w for _, w in chosen)
    value = SegmentationCrossEntropy(weights, hard_share=share)(logits, to_targets(masks))["cross_entropy"]
    assert value.item() == pytest.approx(total / count, rel=1e-5)


def test_region_losses_are_added_by_weight() -> None:
    logits, targets = random_logits(2), to_targets(random_masks(2))
    losses = SegmentationCrossEntropy(dice_weight=0.5, lovasz_weight=2.0)(logits, targets)
    assert set(losses) == {"cross_entropy", "dice", "lovasz"}
    torch.testing.assert_close(losses["dice"], 0.5 * DiceLoss()(logits, targets)["dice"])
    torch.testing.assert_close(losses["lovasz"], 2 * LovaszLoss()(logits, targets)["lovasz"])


@pytest.mark.parametrize(
    "options", [{"hard_share": 0.0}, {"hard_share": 1.5}, {"dice_weight": -1.0}, {"label_smoothing": 1.0}]
)
def test_values_out_of_range(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        SegmentationCrossEntropy(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", LOSSES)
def test_a_class_of_one_pixel_counts_and_one_class_is_not_halved(name: str) -> None:
    logits = random_logits(2)
    masks = torch.zeros(2, 5, 6, dtype=torch.uint8)
    masks[1, 2, 3] = 1
    expected = []
    for image, present in ((0, (0,)), (1, (0, 1))):
        scores = logits[image].softmax(dim=0).flatten(1).numpy()
        truth = [(masks[image] == label).flatten().float().numpy() for label in present]
        expected.append(np.mean([BY_HAND[name](scores[c], t) for c, t in zip(present, truth, strict=True)]))
    assert float(LOSSES[name](logits, to_targets(masks))[name]) == pytest.approx(np.mean(expected), abs=1e-5)
