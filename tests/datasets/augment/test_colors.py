"""Covers datasets/augment/flips_and_colors.py."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional

from pocketvision.datasets import DetectionAugmentation
from pocketvision.datasets.augment.colors import change_colors
from pocketvision.datasets.augment.flips_and_colors import flip_and_color


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    return noise // np.array([1, 2, 3], dtype=np.uint8) + np.array([0, 60, 20], dtype=np.uint8)


@pytest.mark.parametrize("factor", [0.5, 0.9, 1.1, 1.5, 2.0])
@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation"])
def test_changes_are_torchvisions(image: np.ndarray, name: str, factor: float) -> None:
    tensor = torch.from_numpy(image).permute(2, 0, 1)
    theirs = getattr(functional, f"adjust_{name}")(tensor, factor).permute(1, 2, 0).numpy()
    ours = change_colors(image, **{name: factor})
    assert ours.dtype == np.uint8
    assert np.abs(ours.astype(int) - theirs).max() <= 2  # they cut decimals off, we round
    assert np.abs(ours.astype(int) - theirs).mean() < 1.01


@pytest.mark.parametrize("hue", [-0.05, 0.05, 0.2])
def test_hue_is_torchvisions(image: np.ndarray, hue: float) -> None:
    tensor = torch.from_numpy(image).permute(2, 0, 1)
    theirs = functional.adjust_hue(tensor, hue).permute(1, 2, 0).numpy().astype(int)
    difference = np.abs(change_colors(image, hue=hue).astype(int) - theirs)
    assert difference.max() <= 12 and difference.mean() < 2  # steps of 2 degrees
    assert np.abs(image.astype(int) - theirs).mean() > 5 * difference.mean()


def test_contrast_spreads_around_the_mean_itself() -> None:
    for level in (0, 1, 128, 254, 255):
        flat = np.full((4, 4, 3), level, dtype=np.uint8)
        assert (change_colors(flat, contrast=0.5) == level).all()


@pytest.mark.parametrize(("before", "steps", "after"), [(178, 4, 2), (179, 1, 0), (2, -5, 177), (30, 20, 50)])
def test_hues_go_round_a_circle_of_180_steps(before: int, steps: int, after: int) -> None:
    one, other = (
        cv2.cvtColor(np.full((2, 2, 3), (hue, 255, 255), dtype=np.uint8), cv2.COLOR_HSV2RGB)
        for hue in (before, after)
    )
    assert (change_colors(one, hue=steps / 180) == other).all()


def test_one_after_the_other(image: np.ndarray) -> None:
    together = change_colors(image, brightness=1.1, contrast=1.4, saturation=0.6, hue=0.1)
    step = change_colors(change_colors(image, brightness=1.1), contrast=1.4)
    step = change_colors(change_colors(step, saturation=0.6), hue=0.1)
    assert np.abs(together.astype(int) - step).max() <= 3
    assert (change_colors(image) == image).all()


def test_each_change_is_made_with_its_probability(image: np.ndarray) -> None:
    only_bright = DetectionAugmentation(
        horizontal_flip=0.0, contrast=0.0, saturation=0.0, hue=0.0, photometric_probability=0.3
    )
    means = [
        flip_and_color(only_bright, image, {}, np.random.default_rng(seed))[0].mean() / image.mean()
        for seed in range(300)
    ]
    changed = np.array([mean for mean in means if mean != 1])
    assert 0.2 < len(changed) / 300 < 0.4
    assert 0.87 < changed.min() < 0.9 and 1.08 < changed.max() < 1.13 and abs(changed.mean() - 1) < 0.03


def test_hues_are_turned_both_ways_up_to_the_strength() -> None:
    red = np.zeros((1, 1, 3), dtype=np.uint8)
    red[..., 0] = 255
    only_hue = DetectionAugmentation(
        horizontal_flip=0.0,
        brightness=0.0,
        contrast=0.0,
        saturation=0.0,
        hue=0.1,
        photometric_probability=1.0,
    )
    hues = [
        int(
            cv2.cvtColor(
                flip_and_color(only_hue, red, {}, np.random.default_rng(seed))[0], cv2.COLOR_RGB2HSV
            )[0, 0, 0]
        )
        for seed in range(100)
    ]
    turned = np.array([(hue + 90) % 180 - 90 for hue in hues])
    assert turned.min() < -13 and turned.max() > 13 and np.abs(turned).max() <= 18
    assert abs(turned.mean()) < 4


def test_flips_move_boxes_and_masks_with_the_image() -> None:
    image = np.zeros((20, 30, 3), dtype=np.uint8)
    image[2:7, 3:12] = 255
    boxes, mask = np.array([[3, 2, 12, 7]], dtype=np.float32), image[..., 0].copy()
    both = DetectionAugmentation(horizontal_flip=1.0, vertical_flip=1.0, photometric=False)
    flipped, truth = flip_and_color(both, image, {"boxes": boxes, "mask": mask}, np.random.default_rng(0))
    assert truth["boxes"].tolist() == [[18, 13, 27, 18]] and (truth["mask"] == flipped[..., 0]).all()
    assert (flipped[13:18, 18:27] == 255).all() and flipped.sum() == image.sum()
