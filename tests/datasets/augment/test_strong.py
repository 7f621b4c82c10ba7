"""Holes, gray and blur change pixels alone, and colors only where the base changes them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pocketvision.datasets import DetectionAugmentation
from pocketvision.datasets.augment.strong import StrongAugmentation

NOTHING = StrongAugmentation(gray=0.0, blur=0.0, hole_probability=0.0)
FILL = (1, 2, 3)


def noise(channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(10, 256, (40, 60, channels), dtype=np.uint8)


def test_without_steps_nothing_changes() -> None:
    image = noise()
    assert np.array_equal(NOTHING(image, FILL, np.random.default_rng(0)), image)


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_holes_have_the_color_and_the_area(channels: int) -> None:
    holes = replace(NOTHING, holes=1, hole_probability=1.0, hole_area=(0.1, 0.1))
    shares = []
    for seed in range(40):
        image = noise(channels)
        changed = holes(image, FILL, np.random.default_rng(seed))
        is_hole = (changed == (FILL if channels == 3 else (2,) * channels)).all(axis=2)
        assert np.array_equal(changed[~is_hole], image[~is_hole])
        assert np.array_equal(image, noise(channels)), "the image itself is changed"
        shares.append(is_hole.mean())
    assert np.mean(shares) == pytest.approx(0.1, rel=0.2)  # whole pixels


def test_gray_has_no_colors_and_blur_less_contrast() -> None:
    gray = replace(NOTHING, gray=1.0)(noise(), FILL, np.random.default_rng(0))
    assert (gray == gray[..., :1]).all()
    blurred = replace(NOTHING, blur=1.0)(noise(), FILL, np.random.default_rng(1))
    assert blurred.std() < noise().std() and blurred.mean() == pytest.approx(noise().mean(), abs=2)


def test_colors_of_the_base_get_stronger_but_do_not_begin() -> None:
    mild = DetectionAugmentation(brightness=0.1, saturation=0.9, photometric=False)
    strong = StrongAugmentation().on(mild)
    assert (strong.brightness, strong.saturation, strong.photometric) == (0.4, 0.9, False)
    assert replace(strong, **{k: getattr(mild, k) for k in ("brightness", "contrast", "saturation", "hue",
                                                            "photometric_probability")}) == mild  # fmt: skip
