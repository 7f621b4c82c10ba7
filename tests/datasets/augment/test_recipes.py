"""The part of an image that segmentation trains on: image and mask alike, at every place."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from pocketvision.core.resize import Resize
from pocketvision.datasets.augment.recipes import DetectionAugmentation, SegmentationAugmentation
from pocketvision.datasets.images.picture import Pixels
from pocketvision.datasets.images.read import Reading

PLAIN = {"horizontal_flip": 0.0, "photometric": False}


class Reduced(Pixels):
    """A picture that is read at a quarter of its size, as a JPEG may be."""

    def read(self, scale: float = 1.0) -> Reading:
        height, width = self.size
        pixels = cv2.resize(self.array, (width // 4, height // 4), interpolation=cv2.INTER_AREA)
        return Reading(np.asarray(pixels, dtype=np.uint8), self.size, self.size)


def test_every_place_of_a_crop_is_drawn() -> None:
    """4 of 7 columns and all of the rows: the image says which column comes first."""
    image = np.zeros((4, 7, 3), dtype=np.uint8)
    image[..., 0] = np.arange(7)
    augmentation = SegmentationAugmentation(scale=(1.0, 1.0), crop_size=(4, 4), **PLAIN)  # type: ignore[arg-type]
    rng = np.random.default_rng(0)
    starts = []
    for _ in range(800):
        new, mask = augmentation(image, image[..., 0], Resize((4, 7)), rng)
        assert (new[..., 0] == mask).all() and (mask[0] - mask[0, 0] == np.arange(4)).all()
        starts.append(int(mask[0, 0]))
    assert (np.abs(np.bincount(starts) / 800 - 0.25) < 0.06).all() and max(starts) == 3


def test_a_mask_shows_what_its_reduced_image_shows() -> None:
    """Stripes that are whole pixels of the reduced image; nearest neighbors differ in a column of 64."""
    mask = (np.arange(160) // 16 % 2).astype(np.uint8)[None].repeat(96, 0)
    image = np.repeat(mask[..., None] * 255, 3, axis=2)
    augmentation = SegmentationAugmentation(scale=(3.0, 4.0), crop_size=(64, 64), **PLAIN)  # type: ignore[arg-type]
    wrong = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        new, found = augmentation(Reduced(image), mask, Resize((48, 80), interpolation="nearest"), rng)
        wrong.append(((new[..., 0] > 127) != (found > 0)).mean())
    assert np.mean(wrong) < 0.02 and max(wrong) < 0.04


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, (334, 200)),
        ({"crop_probability": 0.0}, (100, 60)),
        ({"crop_probability": 0.0, "scale_jitter": (0.5, 2.5)}, (250, 150)),
        ({"min_crop_side": 0.5, "scale_jitter": (0.5, 0.9)}, (200, 120)),
    ],
)
def test_what_a_cache_must_keep_of_a_detection_image(
    options: dict[str, float], expected: tuple[int, int]
) -> None:
    assert DetectionAugmentation(**options).kept_size(Resize((100, 60))) == expected  # type: ignore[arg-type]
