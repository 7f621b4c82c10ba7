"""Cross-entropy of whole images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from pocketvision.core.structures import ClassTarget


@dataclass(frozen=True)
class ClassificationCrossEntropy:
    """Mean softmax cross-entropy of a batch.

    ``label_smoothing`` in [0, 1) takes that share of the true class's probability and spreads it over
    all classes, the true one included (arXiv:1512.00567, sec. 7; 0.1 for ImageNet).

    Raises:
        ValueError: label smoothing outside [0, 1).
    """

    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"label_smoothing is {self.label_smoothing!r}: give a number from 0 to below 1.")

    def __call__(self, class_logits: Tensor, targets: list[ClassTarget]) -> dict[str, Tensor]:
        """Loss of class_logits (N, K)."""
        labels = torch.tensor([target.label for target in targets], device=class_logits.device)
        loss = F.cross_entropy(class_logits.float(), labels, label_smoothing=self.label_smoothing)
        return {"cross_entropy": loss}

    def counts(self, class_logits: Tensor, targets: Sequence[ClassTarget]) -> list[Tensor]:
        """Nothing: it is a mean over images."""
        return []
