"""Flips and colors as an albumentations recipe; the only file that knows albumentations.

Its transforms are here subclassed: boxes go through as one more array, because converting them to its
own format and back takes longer than decoding the image.
"""

from __future__ import annotations

import os
import random
from functools import lru_cache
from typing import Any, Protocol

import numpy as np

from pocketvision.datasets.augment.colors import change_colors
from pocketvision.datasets.images.read import Array
from pocketvision.datasets.records.annotations import Boxes

Strengths = tuple[float, float, float, float]
"""Largest relative change of brightness, contrast and saturation; of hue, as a fraction of the circle."""


class FlipsAndColors(Protocol):
    """What an augmentation says about flips and colors; see ``DetectionAugmentation``."""

    @property
    def horizontal_flip(self) -> float: ...
    @property
    def vertical_flip(self) -> float: ...
    @property
    def photometric(self) -> bool: ...
    @property
    def photometric_probability(self) -> float: ...
    @property
    def brightness(self) -> float: ...
    @property
    def contrast(self) -> float: ...
    @property
    def saturation(self) -> float: ...
    @property
    def hue(self) -> float: ...


def flip_and_color(
    steps: FlipsAndColors, image: Array, truth: dict[str, Any], rng: np.random.Generator
) -> tuple[Array, dict[str, Any]]:
    """``truth`` may have ``boxes`` (G, 4) xyxy and a ``mask`` (H, W), which are flipped with the image."""
    strengths = steps.brightness, steps.contrast, steps.saturation, steps.hue
    probability = steps.photometric_probability if steps.photometric else 0.0
    if not (steps.horizontal_flip > 0 or steps.vertical_flip > 0 or probability > 0):
        return image, truth
    recipe = _recipe(steps.horizontal_flip, steps.vertical_flip, strengths, probability)
    # One shared stream: set_random_seed would give every transform the same numbers.
    recipe.set_random_state(rng, random.Random(int(rng.integers(2**63))))
    result = recipe(image=image, **truth)
    return result.pop("image"), result


def import_albumentations() -> Any:
    """The module, imported late: it takes seconds that nobody but a training should pay."""
    # Without this it asks the network for a newer version at every import.
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
    import albumentations  # type: ignore[import-untyped]

    return albumentations


@lru_cache(maxsize=16)
def _recipe(
    horizontal_flip: float, vertical_flip: float, strengths: Strengths, photometric_probability: float
) -> Any:
    """Built once a process, so that no sample has to pickle it; what never happens is left out."""
    library, (flip_x, flip_y, colors) = import_albumentations(), _transforms()
    changes = photometric_probability > 0 and any(strengths)
    steps = [
        flip_x(p=horizontal_flip) if horizontal_flip > 0 else None,
        flip_y(p=vertical_flip) if vertical_flip > 0 else None,
        colors(strengths, photometric_probability) if changes else None,
    ]
    return library.Compose([step for step in steps if step is not None])


@lru_cache(maxsize=1)
def _transforms() -> tuple[Any, Any, Any]:
    """The classes, which exist once albumentations is imported."""
    library = import_albumentations()

    class HorizontalFlip(library.HorizontalFlip):  # type: ignore[misc, name-defined]
        @property
        def targets(self) -> dict[str, Any]:
            return {**super().targets, "boxes": _flip_x}

    class VerticalFlip(library.VerticalFlip):  # type: ignore[misc, name-defined]
        @property
        def targets(self) -> dict[str, Any]:
            return {**super().targets, "boxes": _flip_y}

    class Colors(library.ImageOnlyTransform):  # type: ignore[misc, name-defined]
        """Each change is made with its own ``probability``; in the order of their names."""

        def __init__(self, strengths: Strengths, probability: float) -> None:
            super().__init__(p=1.0)
            self.strengths, self.probability = strengths, probability

        def get_params(self) -> dict[str, Any]:
            names = ("brightness", "contrast", "saturation", "hue")
            changes = {}
            for name, strength in zip(names, self.strengths, strict=True):
                if strength > 0 and self.py_random.random() < self.probability:
                    middle = 0.0 if name == "hue" else 1.0
                    low = max(0.0, middle - strength) if middle else -strength
                    changes[name] = self.py_random.uniform(low, middle + strength)
            return {"changes": changes}

        def apply(self, img: Array, changes: dict[str, float], **params: Any) -> Array:
            return change_colors(img, **changes)

    return HorizontalFlip, VerticalFlip, Colors


def _flip_x(boxes: Boxes, **params: Any) -> Boxes:
    width = params["shape"][1]
    return np.stack((width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]), axis=1)


def _flip_y(boxes: Boxes, **params: Any) -> Boxes:
    height = params["shape"][0]
    return np.stack((boxes[:, 0], height - boxes[:, 3], boxes[:, 2], height - boxes[:, 1]), axis=1)
