"""Random problems of COCO scoring as flat arrays: ties, crowds, areas at the edges of the ranges."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from pocketvision.metrics.coco_arrays import Found, Truth


def make_problem(
    seed: int, num_images: int = 12, num_categories: int = 3, num_found: int = 60, crowd: float = 0.15
) -> tuple[Truth, Found]:
    """Boxes on a coarse grid, so that IoUs are equal and exactly 0.5; scores with few values; an id 0."""
    random = np.random.default_rng(seed)
    counts = random.integers(0, 9, num_images)
    images = np.repeat(np.arange(num_images), counts)
    size = len(images)
    sides = random.choice([8, 16, 32, 40, 96, 200], (size, 2)).astype(np.float64)
    boxes = np.concatenate([random.integers(0, 10, (size, 2)) * 8.0, sides], axis=1)
    areas = np.where(random.random(size) < 0.5, sides.prod(axis=1), random.choice([1024.0, 9216.0], size))
    ids = np.arange(size)
    truth = Truth(
        images, random.integers(0, num_categories, size), boxes, areas, random.random(size) < crowd, ids
    )
    return truth, _found(random, truth, num_images, num_categories, num_found)


def _found(
    random: np.random.Generator, truth: Truth, num_images: int, num_categories: int, num_found: int
) -> Found:
    images = np.sort(random.integers(0, num_images, num_found * num_images // 2))
    boxes = np.concatenate(
        [random.integers(0, 10, (len(images), 2)) * 8.0, random.choice([8.0, 16, 32, 96], (len(images), 2))],
        axis=1,
    )
    categories = random.integers(0, num_categories, len(images))
    for i, image in enumerate(images.tolist()):
        own = np.flatnonzero(truth.images == image)
        if len(own) and random.random() < 0.7:
            near = random.choice(own)
            boxes[i] = truth.boxes[near] + random.choice([0, 0, 4, 8], 4)
            categories[i] = truth.categories[near] if random.random() < 0.8 else categories[i]
    return Found(images, categories, boxes, random.integers(1, 12, len(images)) / 13)


Problem = Callable[..., tuple[Truth, Found]]


@pytest.fixture(scope="session")
def coco_problem() -> Problem:
    """Makes a problem of a seed, a number of images and classes, and so on."""
    return make_problem
