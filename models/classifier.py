"""Backbone + head = Classifier."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pocketvision.core.layers import IMAGENET_MEAN, IMAGENET_STD, normalize_channels
from pocketvision.core.protocols import Backbone
from pocketvision.core.resize import Resize
from pocketvision.core.structures import Features
from pocketvision.models.input_facts import describe_inputs


class Classifier(nn.Module):
    """An image classifier for the classes ``class_names``.

    ``forward`` maps images (N, 3, H, W), uint8 or float 0..255 RGB, or of the channels of ``resize``,
    to class_logits (N, K). ``head``
    is called with ``feature_info`` and ``num_classes``. A name that is None keeps its slot but is
    never predicted, as for the background of TensorFlow's 1001 classes.
    """

    def __init__(
        self,
        backbone: Backbone,
        head: Callable[..., nn.Module],
        class_names: Sequence[str | None],
        resize: Resize,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
    ) -> None:
        super().__init__()
        self.class_names = tuple(class_names)
        self.resize = resize
        self.normalize = normalize_channels(resize.pixels.channels, mean, std)
        self.backbone = backbone
        self.head = head(feature_info=backbone.feature_info, num_classes=len(self.class_names))

    def forward(self, images: Tensor) -> Tensor:
        return self.answer(self.features(images), images)

    def features(self, images: Tensor) -> Features:
        """What the head reads of images (N, 3, H, W)."""
        with torch.autocast(images.device.type, enabled=False):
            normalized = self.normalize(images)
        return self.backbone(normalized)

    def answer(self, features: Features, images: Tensor) -> Tensor:
        """The class_logits of images of which ``features`` are known."""
        class_logits: Tensor = self.head(features)
        return class_logits

    @torch.no_grad()
    def predict(self, images: Tensor) -> Tensor:
        """Softmax scores (N, K) float32; those of reserved slots are 0."""
        scores: Tensor = self(images).float().softmax(dim=1)
        scores[:, [i for i, name in enumerate(self.class_names) if name is None]] = 0.0
        return scores

    def passport(self) -> dict[str, Any]:
        """What a weights file must say for the weights to be used rightly."""
        return {
            "task": "classification",
            **describe_inputs(self, self.class_names, self.normalize, self.resize),
        }
