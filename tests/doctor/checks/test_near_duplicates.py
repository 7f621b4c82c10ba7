"""Nearly equal pictures are found, others are not."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageEnhance

from pocketvision.datasets.images.likeness import difference_hash, near_pairs, shrink
from pocketvision.doctor.checks.near_duplicates import split_pairs


def test_changed_copies_are_found_and_strangers_are_not(picture: Callable[[int], np.ndarray]) -> None:
    originals = [Image.fromarray(picture(i)) for i in range(60)]
    first = np.stack([shrink(image) for image in originals])

    def jpeg(image: Image.Image) -> Image.Image:
        stream = io.BytesIO()
        image.save(stream, "JPEG", quality=30)
        return Image.open(stream)

    copies = [
        jpeg(originals[3]),
        originals[7].resize((200, 150)),
        ImageEnhance.Brightness(originals[11]).enhance(1.03),
        Image.fromarray(picture(100)),
        Image.fromarray(np.zeros((48, 64, 3), np.uint8)),
    ]
    second = np.stack([shrink(image) for image in copies])
    assert list(near_pairs(first, second)) == [(3, 0), (7, 1), (11, 2)]
    black = np.zeros((3, 16, 18), np.uint8)
    assert not list(near_pairs(black, black)), "flat pictures say nothing"
    assert not list(near_pairs(first[:0], second))


def test_hashes_are_the_signs_of_differences() -> None:
    generator = np.random.default_rng(0)
    thumbnails = generator.integers(0, 256, (5, 16, 18), dtype=np.uint8)
    hashes = difference_hash(thumbnails)
    for n, row, column in ((0, 0, 0), (3, 7, 7), (4, 2, 5)):
        cells = [thumbnails[n, 2 * row : 2 * row + 2, 2 * c : 2 * c + 2].mean() for c in (column, column + 1)]
        assert hashes[n, row * 8 + column] == (1 if cells[1] > cells[0] else -1)


def test_a_list_that_holds_another_by_design_is_not_compared() -> None:
    assert split_pairs(["train", "val", "trainval", "test"]) == [
        ("train", "val"), ("train", "test"), ("trainval", "test"), ("val", "test")
    ]  # fmt: skip
    assert split_pairs(["all"]) == []
