"""Segmentation's cross-entropy against PyTorch's mean, which is NaN where ours is 0."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from pocketvision.core.structures import MaskTarget
from pocketvision.losses import SegmentationCrossEntropy

WEIGHTS = (1.0, 0.2, 3.0)


def random_masks(count: int, ignored: float) -> Tensor:
    generator = torch.Generator().manual_seed(count)
    masks = torch.randint(0, 3, (count, 6, 7), generator=generator, dtype=torch.uint8)
    masks[torch.rand(masks.shape, generator=generator) < ignored] = 255
    return masks


def loss_of(loss: SegmentationCrossEntropy, logits: Tensor, masks: Tensor) -> Tensor:
    (value,) = loss(logits, [MaskTarget(mask, i, (6, 7)) for i, mask in enumerate(masks)]).values()
    return value


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("ignored", [0.0, 0.4])
def test_equals_pytorch(weights: tuple[float, ...] | None, smoothing: float, ignored: float) -> None:
    logits, masks = (
        torch.randn(2, 3, 6, 7, generator=torch.Generator().manual_seed(0)),
        random_masks(2, ignored),
    )
    expected = F.cross_entropy(
        logits,
        masks.long(),
        weight=None if weights is None else torch.tensor(weights),
        ignore_index=255,
        label_smoothing=smoothing,
    )
    torch.testing.assert_close(loss_of(SegmentationCrossEntropy(weights, smoothing), logits, masks), expected)


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_nothing_but_ignored_pixels_cost_nothing(weights: tuple[float, ...] | None) -> None:
    logits = torch.randn(2, 3, 6, 7, requires_grad=True)
    value = loss_of(SegmentationCrossEntropy(weights), logits, random_masks(2, 1.1))
    value.backward()
    assert value == 0 and logits.grad is not None and not logits.grad.any()


def test_one_image_without_truth_does_not_dilute_the_other() -> None:
    logits, masks = torch.randn(2, 3, 6, 7), random_masks(2, 0.2)
    masks[1] = 255
    loss = SegmentationCrossEntropy()
    torch.testing.assert_close(loss_of(loss, logits, masks), loss_of(loss, logits[:1], masks[:1]))


def test_the_size_of_all_weights_does_not_matter() -> None:
    logits, masks = torch.randn(2, 3, 6, 7), random_masks(2, 0.2)
    small = SegmentationCrossEntropy(tuple(w * 1e-4 for w in WEIGHTS))
    expected = loss_of(SegmentationCrossEntropy(WEIGHTS), logits, masks)
    torch.testing.assert_close(loss_of(small, logits, masks), expected)


def test_a_wrong_number_of_weights_is_refused() -> None:
    with pytest.raises(ValueError, match="2 class weights for 3 classes"):
        loss_of(SegmentationCrossEntropy((1.0, 2.0)), torch.randn(1, 3, 6, 7), random_masks(1, 0))


def test_half_precision_is_summed_in_float32() -> None:
    logits, masks = torch.randn(2, 3, 6, 7), random_masks(2, 0.2)
    value = loss_of(SegmentationCrossEntropy(), logits.half(), masks)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, loss_of(SegmentationCrossEntropy(), logits, masks), rtol=1e-3, atol=0)


@pytest.mark.parametrize("weights", [None, tuple(1.0 + k / 255 for k in range(255))])
def test_as_many_classes_as_a_mask_can_name(weights: tuple[float, ...] | None) -> None:
    """255 of them, the last ones without a pixel, and no pixel ignored."""
    logits, masks = torch.randn(2, 255, 6, 7), random_masks(2, 0.0)
    expected = F.cross_entropy(logits, masks.long(), None if weights is None else torch.tensor(weights))
    torch.testing.assert_close(loss_of(SegmentationCrossEntropy(weights), logits, masks), expected)
