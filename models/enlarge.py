"""Logits at the resolution of a head -> those of every pixel, as others' graphs do it in themselves."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from pocketvision.core.layers import Sampling, known_sampling, resize_maps
from pocketvision.core.structures import Size


@dataclass(frozen=True)
class Enlarge:
    """Enlarges logits (N, K, h, w) to the size (height, width) of the model's input, by ``sampling``.

    ``through`` are sizes (height, width) that they have in between.

    Raises:
        ValueError: another ``sampling`` than those of :data:`~pocketvision.core.layers.Sampling`.
    """

    sampling: Sampling = "align_corners"
    through: tuple[Size, ...] = ()

    def __post_init__(self) -> None:
        known_sampling(self.sampling)

    def __call__(self, logits: Tensor, image_size: tuple[int, ...]) -> Tensor:
        sizes: tuple[tuple[int, ...], ...] = (*self.through, image_size)
        for size in sizes:
            logits = resize_maps(logits, size, self.sampling)
        return logits
