"""Segmentation at several scales, mirrored, or window by window: slower, more accurate, asked for by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from pocketvision.core.errors import InputError
from pocketvision.core.structures import Size
from pocketvision.models import Segmenter

_OVERLAP = 1 / 3
"""Share of a window that the next one covers again."""


@dataclass(frozen=True)
class Inference:
    """How a segmenter's logits are made.

    ``scales`` of the model's input size, each also mirrored with ``flip``: their softmax scores are
    averaged at the original size, as in DeepLab (arXiv:1706.05587, sec. 4.1). With ``window`` (height,
    width) the model sees that much of the scaled input at a time, overlapping by a third; where windows
    overlap, logits are averaged. Logits are always resized to the truth's size, never the truth.

    Raises:
        InputError: a scale or a window is not positive.
    """

    scales: tuple[float, ...] = (1.0,)
    flip: bool = False
    window: Size | None = None

    def __post_init__(self) -> None:
        if not self.scales or min(self.scales) <= 0:
            raise InputError(f"--scales is {self.scales}: give numbers above 0, such as 0.75,1,1.25.")
        if self.window is not None and min(self.window) < 1:
            raise InputError(
                f"--window is {self.window}: give a height and a width above 0, such as 512,512."
            )


class MultiScaleSegmenter:
    """A segmenter that predicts by :class:`Inference`; it is used like the model itself."""

    def __init__(self, model: Segmenter, inference: Inference) -> None:
        self.model, self.inference = model, inference
        self.class_names = model.class_names

    @torch.no_grad()
    def predict(self, images: Tensor, original_sizes: Sequence[Size]) -> list[Tensor]:
        """Label maps (H, W) uint8 of the original sizes; a class whose name is None is never predicted."""
        named = [index for index, name in enumerate(self.class_names) if name is not None]
        totals: list[Tensor] = []
        for scale in self.inference.scales:
            scaled = resized(images, scale)
            for is_mirrored in (False, True) if self.inference.flip else (False,):
                logits = self._logits(scaled.flip(3) if is_mirrored else scaled)[:, named]
                logits = logits.flip(3) if is_mirrored else logits
                scores = [
                    self.model.resize.restore_logits(image_logits, size).softmax(dim=0)
                    for image_logits, size in zip(logits, original_sizes, strict=True)
                ]
                totals = [a + b for a, b in zip(totals, scores, strict=True)] if totals else scores
        indices = torch.tensor(named, dtype=torch.uint8, device=images.device)
        return [indices[total.argmax(dim=0)] for total in totals]

    def _logits(self, images: Tensor) -> Tensor:
        """(N, K, h, w) of whole images, or (N, K, H, W) put together from windows."""
        if self.inference.window is None:
            whole: Tensor = self.model(images)
            return whole
        height, width = images.shape[-2:]
        size = min(self.inference.window[0], height), min(self.inference.window[1], width)
        total = images.new_zeros((len(images), len(self.class_names), height, width), dtype=torch.float32)
        count = total.new_zeros((height, width))
        for top in window_starts(height, size[0]):
            for left in window_starts(width, size[1]):
                place = (slice(top, top + size[0]), slice(left, left + size[1]))
                logits = self.model(images[..., place[0], place[1]])
                total[..., place[0], place[1]] += F.interpolate(logits.float(), size, mode="bilinear")
                count[place] += 1
        return total / count


def window_starts(length: int, window: int) -> list[int]:
    """First pixels of windows that cover ``length`` evenly and overlap by a third or more."""
    step = max(1, int(window * (1 - _OVERLAP)))
    number = -(-(length - window) // step) + 1
    return [round(i * (length - window) / max(1, number - 1)) for i in range(number)]


def resized(images: Tensor, scale: float) -> Tensor:
    """Images (N, 3, H, W) 0..255, scaled."""
    if scale == 1:
        return images
    size = [max(1, round(side * scale)) for side in images.shape[-2:]]
    return F.interpolate(images.float(), size, mode="bilinear").to(memory_format=torch.channels_last)
