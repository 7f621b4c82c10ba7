"""Stronger augmentation, for labels that a model made: it must not find them as it found them before."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np

from pocketvision.core.resize import RGB
from pocketvision.core.structures import Size
from pocketvision.datasets.augment.recipes import DetectionAugmentation
from pocketvision.datasets.images.read import Array


@dataclass(frozen=True)
class StrongAugmentation:
    """Stronger colors, gray, blur and holes (after arXiv:2102.09480, table 7), over another augmentation.

    Attributes:
        brightness, contrast, saturation, hue, photometric_probability: as for
            :class:`DetectionAugmentation`, whose own stay where they are larger.
        gray: probability of a picture without colors.
        blur: probability of a Gaussian blur, whose sigma is up to ``max_sigma`` pixels of the input.
        holes: how many rectangles are painted over, each with probability ``hole_probability``.
        hole_area: range of a hole's share of the picture; its sides are up to 3 times each other.
    """

    brightness: float = 0.4
    contrast: float = 0.5
    saturation: float = 0.5
    hue: float = 0.1
    photometric_probability: float = 0.8
    gray: float = 0.2
    blur: float = 0.5
    max_sigma: float = 2.0
    holes: int = 3
    hole_probability: float = 0.5
    hole_area: tuple[float, float] = (0.01, 0.1)

    def on(self, base: DetectionAugmentation) -> DetectionAugmentation:
        """``base`` with colors that change more; one that changes none is left so."""
        names = ("brightness", "contrast", "saturation", "hue", "photometric_probability")
        return replace(base, **{name: max(getattr(self, name), getattr(base, name)) for name in names})

    def __call__(self, image: Array, fill: tuple[int, ...], rng: np.random.Generator) -> Array:
        """Image (H, W, C) uint8 at the input's size -> the same, changed; holes have the color ``fill``."""
        if rng.random() < self.gray and image.shape[2] == RGB.channels:
            image = np.repeat(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None], RGB.channels, axis=2)
        if rng.random() < self.blur:
            blurred = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.1, self.max_sigma))
            image = np.asarray(blurred, dtype=np.uint8).reshape(image.shape)
        color = fill if len(fill) == image.shape[2] else round(sum(fill) / len(fill))
        image = image.copy()
        for _ in range(self.holes):
            if rng.random() < self.hole_probability:
                image[self._hole((image.shape[0], image.shape[1]), rng)] = color
        return image

    def _hole(self, size: Size, rng: np.random.Generator) -> tuple[slice, slice]:
        area = rng.uniform(*self.hole_area) * size[0] * size[1]
        stretch = math.exp(rng.uniform(-0.5, 0.5) * math.log(3))
        sides = math.sqrt(area) * stretch, math.sqrt(area) / stretch
        lows = [rng.uniform(0, max(0, whole - side)) for whole, side in zip(size, sides, strict=True)]
        top, left = (slice(int(low), int(low + side) + 1) for low, side in zip(lows, sides, strict=True))
        return top, left
