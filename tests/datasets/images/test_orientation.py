from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageOps

from pocketvision.datasets.images.orientation import keeps_ends, turn_boxes, turn_pixels, turned_size

SIZE = (6, 9)


def upright(values: np.ndarray, orientation: int) -> np.ndarray:
    """By Pillow, as a reference."""
    image, exif = Image.fromarray(values), Image.Exif()
    exif[0x0112] = orientation
    image.info["exif"] = exif.tobytes()
    return np.asarray(ImageOps.exif_transpose(image))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pixels_boxes_and_sizes_against_brute_force(orientation: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    expected = upright(pixels, orientation)
    np.testing.assert_array_equal(turn_pixels(pixels, orientation), expected)
    np.testing.assert_array_equal(turn_pixels(pixels[..., 0], orientation), expected[..., 0])
    assert turned_size(SIZE, orientation) == expected.shape[:2]
    assert turned_size(expected.shape[:2], orientation) == SIZE
    for top in range(SIZE[0]):
        for left in range(SIZE[1]):
            for bottom in range(top + 1, SIZE[0] + 1):
                for right in range(left + 1, SIZE[1] + 1):
                    mask = np.zeros(SIZE, np.uint8)
                    mask[top:bottom, left:right] = 1
                    rows, columns = np.nonzero(turn_pixels(mask, orientation))
                    around = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
                    (box,) = turn_boxes(np.array([[left, top, right, bottom]], np.float32), SIZE, orientation)
                    assert tuple(box) == around


@pytest.mark.parametrize("orientation", range(1, 9))
def test_where_a_reduced_picture_ends(orientation: int) -> None:
    """Its last row and column, which reach beyond the picture, must not come to lie first."""
    for size in ((16, 16), (16, 17), (17, 16), (17, 17)):
        mark = np.zeros(size, np.uint8)
        mark[size[0] // 8 * 8 :], mark[:, size[1] // 8 * 8 :] = 1, 1
        turned = turn_pixels(mark, orientation)
        assert keeps_ends(size, orientation, 8) == (not turned[0].all() and not turned[:, 0].all())
