"""Cross-entropy with label smoothing, written out with numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pocketvision.core.structures import ClassTarget
from pocketvision.losses import ClassificationCrossEntropy

LABELS = (2, 0, 3)


def by_hand(class_logits: np.ndarray, smoothing: float) -> float:
    log_shares = class_logits - np.log(np.exp(class_logits).sum(axis=1, keepdims=True))
    truth = np.full(class_logits.shape, smoothing / class_logits.shape[1])
    truth[np.arange(len(LABELS)), LABELS] += 1 - smoothing
    return float(-(truth * log_shares).sum(axis=1).mean())


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_smoothed_cross_entropy(smoothing: float) -> None:
    class_logits = torch.randn(3, 4, generator=torch.Generator().manual_seed(0)) * 3
    targets = [ClassTarget(label, i, (8, 8)) for i, label in enumerate(LABELS)]
    losses = ClassificationCrossEntropy(smoothing)(class_logits, targets)
    assert set(losses) == {"cross_entropy"}
    assert float(losses["cross_entropy"]) == pytest.approx(
        by_hand(class_logits.double().numpy(), smoothing), abs=1e-6
    )


def test_nothing_is_smoothed_by_default() -> None:
    assert ClassificationCrossEntropy() == ClassificationCrossEntropy(0.0)


def test_half_precision_logits_give_a_full_precision_loss() -> None:
    class_logits = torch.tensor([[60.0, -60.0]], dtype=torch.bfloat16)
    loss = ClassificationCrossEntropy(0.1)(class_logits, [ClassTarget(0, 1, (8, 8))])["cross_entropy"]
    assert loss.dtype == torch.float32 and float(loss) == pytest.approx(6.0)


@pytest.mark.parametrize("smoothing", [-0.1, 1.0])
def test_smoothing_out_of_range(smoothing: float) -> None:
    with pytest.raises(ValueError, match="label_smoothing"):
        ClassificationCrossEntropy(smoothing)
