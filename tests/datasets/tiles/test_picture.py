"""A tile shows its window; what is not learned is painted over, but for what is."""

from __future__ import annotations

import numpy as np

from pocketvision.core.structures import Window
from pocketvision.datasets.images.read import Reading
from pocketvision.datasets.tiles.picture import TilePicture


def whole() -> Reading:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    return Reading(pixels, (40, 60), (40, 60))


def test_the_pixels_of_a_window() -> None:
    tile = TilePicture(whole, Window(5, 10, 20, 30))
    assert tile.size == (20, 30)
    for scale in (1.0, 0.1):
        reading = tile.read(scale)
        assert (reading.pixels == whole().pixels[5:25, 10:40]).all()
        assert reading.size == reading.covers == (20, 30)


def test_what_is_ignored_is_painted_but_for_objects() -> None:
    window = Window(5, 10, 20, 30)
    painted = np.array([[0, 2.5, 4.5, 9]], np.float32)
    spared = np.array([[3, 0, 8, 4]], np.float32)
    source = whole()
    tile = TilePicture(lambda: source, window, painted, spared, (1, 2, 3))
    pixels, before = tile.read().pixels, source.pixels[5:25, 10:40]
    expected = np.zeros((20, 30), bool)
    expected[2:9, 0:5] = True
    expected[0:4, 3:8] = False
    assert (pixels[expected] == (1, 2, 3)).all() and (pixels[~expected] == before[~expected]).all()
    assert (source.pixels == whole().pixels).all(), "other tiles show it"


def test_a_color_for_other_channels() -> None:
    five = Reading(np.full((8, 8, 5), 9, np.uint8), (8, 8), (8, 8))
    boxes = np.array([[0, 0, 2, 2]], np.float32)
    pixels = TilePicture(lambda: five, Window(0, 0, 8, 8), boxes, fill=(10, 20, 60)).read().pixels
    assert (pixels[:2, :2] == 30).all() and (pixels[2:] == 9).all()
