"""Defaults against torchvision's, what is drawn how often, and the part that segmentation trains on."""

from __future__ import annotations

import inspect
import math
from typing import Any

import cv2
import numpy as np
import pytest
from torchvision.transforms import v2

from pocketvision.core.resize import Resize
from pocketvision.datasets.augment.recipes import (
    MEAN_COLOR,
    ClassificationAugmentation,
    DetectionAugmentation,
    SegmentationAugmentation,
)
from pocketvision.datasets.images.picture import Pixels
from pocketvision.datasets.images.read import Reading

RECIPES = (DetectionAugmentation(), SegmentationAugmentation(), ClassificationAugmentation())
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


def theirs(transform: Any) -> dict[str, Any]:
    return {name: value.default for name, value in inspect.signature(transform).parameters.items()}


def test_crops_and_colors_are_torchvisions_by_default() -> None:
    crop, colors = theirs(v2.RandomIoUCrop), theirs(v2.RandomPhotometricDistort)
    own = RECIPES[0]
    assert (own.min_crop_side, own.max_aspect_ratio) == (crop["min_scale"], crop["max_aspect_ratio"])
    options = v2.RandomIoUCrop().options
    assert own.crop_trials == crop["trials"] and list(own.min_ious) == options[:-1], "1: the whole image"
    assert own.crop_probability == pytest.approx(1 - 1 / len(options), abs=0.01)
    assert (own.expand_probability, own.expand_ratio) == (theirs(v2.RandomZoomOut)["p"], (1.0, 3.0))
    for recipe in RECIPES:
        for name in ("brightness", "contrast", "saturation"):
            assert colors[name] == (1 - getattr(recipe, name), 1 + getattr(recipe, name))
        assert recipe.horizontal_flip == theirs(v2.RandomHorizontalFlip)["p"] and recipe.vertical_flip == 0
        assert recipe.photometric
    for recipe in RECIPES[:2]:
        assert colors["hue"] == (-recipe.hue, recipe.hue) and recipe.photometric_probability == colors["p"]
        assert recipe.fill == MEAN_COLOR == tuple(round(255 * mean) for mean in (0.485, 0.456, 0.406))
    part = theirs(v2.RandomResizedCrop)
    assert (RECIPES[2].crop_scale, RECIPES[2].crop_ratio) == (part["scale"], part["ratio"])
    assert (RECIPES[2].hue, RECIPES[2].photometric_probability) == (0.2, 1.0), "slim's"
    assert (own.scale_jitter, own.rotate90, RECIPES[1].scale) == ((1.0, 1.0), False, (0.5, 2.0))


def test_mixing_is_closed_for_ten_epochs_or_half_of_a_run() -> None:
    assert [DetectionAugmentation().num_closed(epochs) for epochs in (0, 1, 8, 19, 20, 21, 100)] == [
        0, 0, 4, 9, 10, 10, 10,
    ]  # fmt: skip
    assert not DetectionAugmentation().mixes
    for option in ("mosaic", "mixup", "copy_paste"):
        assert DetectionAugmentation(**{option: 0.1}).mixes  # type: ignore[arg-type]


def test_what_a_cache_must_keep_for_other_tasks() -> None:
    resize = Resize((100, 60))
    assert SegmentationAugmentation().kept_size(resize) == (200, 120)
    assert SegmentationAugmentation(scale=(0.2, 0.5)).kept_size(resize) == (100, 60)
    assert ClassificationAugmentation(crop_scale=(0.25, 1.0)).kept_size(resize) == (200, 120)


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ({"expand_probability": 0.0}, 1.0),
        ({"expand_ratio": (2.0, 2.0)}, 0.25),
        ({"scale_jitter": (0.5, 0.5)}, 0.25),
    ],
)
def test_how_much_of_the_view_is_image(options: dict[str, Any], shown: float) -> None:
    image = np.full((40, 60, 3), 255, dtype=np.uint8)
    boxes, labels = np.array([[0, 0, 60, 40]], dtype=np.float32), np.zeros(1, dtype=np.int64)
    augmentation = DetectionAugmentation(
        **{"expand_probability": 1.0, "crop_probability": 0.0, **PLAIN, **options}
    )
    view, moved, _ = augmentation(image, boxes, labels, Resize((80, 80)), np.random.default_rng(0))
    is_image = (view == 255).all(axis=2)
    assert is_image.mean() == pytest.approx(shown, abs=0.02) and (view[~is_image] == MEAN_COLOR).all()
    rows, columns = np.nonzero(is_image)
    edges = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    np.testing.assert_allclose(moved[0], edges, atol=0.5)


def test_without_any_change_the_image_is_resized() -> None:
    image = np.random.default_rng(0).integers(0, 256, (37, 52, 3), dtype=np.uint8)
    boxes, labels = np.array([[3, 5, 30, 37]], dtype=np.float32), np.zeros(1, dtype=np.int64)
    plain = DetectionAugmentation(expand_probability=0.0, crop_probability=0.0, **PLAIN)  # type: ignore[arg-type]
    view, moved, _ = plain(image, boxes, labels, Resize((48, 40)), np.random.default_rng(0))
    np.testing.assert_array_equal(view, Resize((48, 40)).apply(image))
    np.testing.assert_allclose(moved, Resize((48, 40)).apply_to_boxes(boxes, (37, 52)), atol=1e-4)


def test_quarter_turns_are_drawn_equally_often() -> None:
    image = np.zeros((8, 8, 3), dtype=np.uint8)
    image[:4, :4] = 255
    none = np.zeros((0, 4), dtype=np.float32), np.zeros(0, dtype=np.int64)
    augmentation = DetectionAugmentation(expand_probability=0, crop_probability=0, rotate90=True, **PLAIN)  # type: ignore[arg-type]
    rng, corners = np.random.default_rng(0), np.zeros((2, 2))
    for _ in range(800):
        view = augmentation(image, *none, Resize((8, 8)), rng)[0]
        corners += view[::7, ::7, 0] > 127
    assert (np.abs(corners / 800 - 0.25) < 0.05).all()


class Recorded(Pixels):
    """A picture that remembers at which scale it was read."""

    def read(self, scale: float = 1.0) -> Reading:
        self.scale = scale
        return super().read(scale)


@pytest.mark.parametrize(("scale", "side"), [(0.6, 12), (1.0, 12), (2.7, 12), (8.0, 12), (8.0, 4)])
def test_all_pixels_that_a_crop_touches_are_shown(scale: float, side: int) -> None:
    """The mask's values are rows or columns: those of the edges are the first and the last that are shown."""
    height, width = 20, 30
    image = np.zeros((height, width, 3), dtype=np.uint8)
    indices = np.indices((height, width)).astype(np.uint8)
    augmentation = SegmentationAugmentation(scale=(scale, scale), crop_size=(side, side), **PLAIN)  # type: ignore[arg-type]
    for seed in range(30):
        found = []
        for mask in indices:
            picture = Recorded(image)
            found.append(augmentation(picture, mask, Resize((16, 30)), np.random.default_rng(seed))[1])
        rng = np.random.default_rng(seed)
        scaled = np.maximum(1, np.round(np.array([16, 30]) * rng.uniform(scale, scale)))
        visible = np.minimum(side, scaled)
        begin = np.floor(rng.random(2) * (scaled - visible + 1))
        sizes, shares = np.array([height, width]), []
        for axis, mask in enumerate(found):
            first = math.floor(begin[axis] * sizes[axis] / scaled[axis])
            last = min(sizes[axis], math.ceil((begin[axis] + visible[axis]) * sizes[axis] / scaled[axis])) - 1
            line = (mask[:, 0] if axis == 0 else mask[0])[: int(visible[axis])]
            assert (np.diff(line.astype(int)) >= 0).all()
            if scaled[axis] >= sizes[axis]:  # enlarged: every pixel is there
                assert (line[0], line[-1]) == (first, last)
            shares.append(visible[axis] / (last + 1 - first))
        assert picture.scale == pytest.approx(max(shares)), "no more than is shown"
