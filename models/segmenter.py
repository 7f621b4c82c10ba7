"""Backbone + head = Segmenter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn

from pocketvision.core.layers import IMAGENET_MEAN, IMAGENET_STD, Normalize
from pocketvision.core.protocols import Backbone
from pocketvision.core.resize import Resize
from pocketvision.core.structures import Size


class Segmenter(nn.Module):
    """A semantic segmenter for the classes ``class_names``; the background is a class like others.

    ``forward`` maps images (N, 3, H, W), uint8 or float 0..255 RGB, to logits (N, K, h, w) at the
    head's resolution. ``head`` is called with ``feature_info`` and ``num_classes``.
    """

    def __init__(
        self,
        backbone: Backbone,
        head: Callable[..., nn.Module],
        class_names: Sequence[str | None],
        resize: Resize,
        mean: tuple[float, float, float] = IMAGENET_MEAN,
        std: tuple[float, float, float] = IMAGENET_STD,
    ) -> None:
        super().__init__()
        self.class_names = tuple(class_names)
        self.resize = resize
        self.normalize = Normalize(mean, std)
        self.backbone = backbone
        self.head = head(feature_info=backbone.feature_info, num_classes=len(self.class_names))

    def forward(self, images: Tensor) -> Tensor:
        with torch.autocast(images.device.type, enabled=False):
            normalized = self.normalize(images)
        logits: Tensor = self.head(self.backbone(normalized))
        return logits

    @torch.no_grad()
    def predict(self, images: Tensor, original_sizes: Sequence[Size]) -> list[Tensor]:
        """Label maps (H, W) uint8 of the original sizes, of which the images were resized.

        A class whose name is None is never predicted.
        """
        logits = self(images)
        reserved = [i for i, name in enumerate(self.class_names) if name is None]
        if reserved:
            logits[:, reserved] = -torch.inf
        return [
            self.resize.restore_logits(image_logits, size).argmax(dim=0).to(torch.uint8)
            for image_logits, size in zip(logits, original_sizes, strict=True)
        ]

    def passport(self) -> dict[str, Any]:
        """What a weights file must say for the weights to be used rightly."""
        return {
            "task": "segmentation",
            "class_names": list(self.class_names),
            "mean": (self.normalize.mean.flatten() / 255).tolist(),
            "std": (self.normalize.std.flatten() / 255).tolist(),
            "resize": asdict(self.resize),
        }
