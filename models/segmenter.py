"""Backbone + head = Segmenter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pocketvision.core.layers import IMAGENET_MEAN, IMAGENET_STD, normalize_channels
from pocketvision.core.protocols import Backbone
from pocketvision.core.resize import Resize
from pocketvision.core.structures import Features, Size
from pocketvision.models.input_facts import describe_inputs


class Segmenter(nn.Module):
    """A semantic segmenter for the classes ``class_names``; the background is a class like others.

    ``forward`` maps images (N, 3, H, W), uint8 or float 0..255 RGB, or of the channels of ``resize``, to
    logits (N, K, h, w) at the head's resolution, with ``enlarge`` at that of the images. ``head`` and, for
    training alone, ``auxiliary_head`` get ``feature_info`` and ``num_classes``.
    """

    def __init__(
        self,
        backbone: Backbone,
        head: Callable[..., nn.Module],
        class_names: Sequence[str | None],
        resize: Resize,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
        auxiliary_head: Callable[..., nn.Module] | None = None,
        enlarge: Callable[[Tensor, tuple[int, ...]], Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.class_names = tuple(class_names)
        self.resize = resize
        self.normalize = normalize_channels(resize.pixels.channels, mean, std)
        self.backbone, self.enlarge = backbone, enlarge
        sizes = {"feature_info": backbone.feature_info, "num_classes": len(self.class_names)}
        self.head = head(**sizes)
        self.auxiliary_head = None if auxiliary_head is None else auxiliary_head(**sizes)

    def forward(self, images: Tensor) -> Tensor:
        return self.answer(self.features(images), images)

    def answer(self, features: Features, images: Tensor) -> Tensor:
        """The logits of images of which ``features`` are known."""
        logits: Tensor = self.head(features)
        return logits if self.enlarge is None else self.enlarge(logits, images.shape[-2:])

    def forward_all(self, images: Tensor) -> dict[str, Tensor]:
        """``logits`` as ``forward`` gives them and, with an auxiliary head, ``auxiliary`` (N, K, h, w)."""
        features = self.features(images)
        logits = {"logits": self.answer(features, images)}
        if self.auxiliary_head is not None:
            logits["auxiliary"] = self.auxiliary_head(features)
        return logits

    def features(self, images: Tensor) -> Features:
        """What the head reads of images (N, 3, H, W)."""
        with torch.autocast(images.device.type, enabled=False):
            normalized = self.normalize(images)
        return self.backbone(normalized)

    @torch.no_grad()
    def predict(self, images: Tensor, original_sizes: Sequence[Size]) -> list[Tensor]:
        """Label maps (H, W) uint8 of the original sizes, of which the images were resized.

        A class whose name is None is never predicted.
        """
        return label_maps(self(images), self.class_names, self.resize, original_sizes)

    def passport(self) -> dict[str, Any]:
        """What a weights file must say for the weights to be used rightly."""
        return {
            "task": "segmentation",
            **describe_inputs(self, self.class_names, self.normalize, self.resize),
        }


@torch.no_grad()
def label_maps(
    logits: Tensor, class_names: Sequence[str | None], resize: Resize, original_sizes: Sequence[Size]
) -> list[Tensor]:
    """Logits (N, K, h, w) -> label maps (H, W) uint8 of the original sizes, without classes named None."""
    named = [index for index, name in enumerate(class_names) if name is not None]
    # Their channels are left out: interpolating an infinity would give NaN wherever its weight is 0.
    chosen = logits if len(named) == len(class_names) else logits[:, named]
    maps = [
        resize.restore_labels(image_logits, size)
        for image_logits, size in zip(chosen, original_sizes, strict=True)
    ]
    if chosen is logits:
        return maps
    indices = torch.tensor(named, dtype=torch.uint8, device=logits.device)
    return [indices[label_map.long()] for label_map in maps]
