"""Boxes in tiles against pixels that are painted and counted."""

from __future__ import annotations

import numpy as np

from pocketvision.core.resize import Tiling
from pocketvision.core.structures import Window
from pocketvision.datasets.tiles.cut import MIN_VISIBLE, cut_boxes

SIZE = (150, 210)


def random_boxes(count: int, longest: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    corners = rng.integers(0, (SIZE[1] - 2, SIZE[0] - 2), (count, 2))
    ends = np.minimum(corners + rng.integers(1, longest, (count, 2)), (SIZE[1], SIZE[0]))
    return np.concatenate((corners, ends), axis=1).astype(np.float32)


def test_the_same_as_painted_pixels() -> None:
    boxes, windows = random_boxes(40, 150), Tiling((64, 64), 0.2).windows(SIZE)
    cut = cut_boxes(boxes, windows)
    shares = np.zeros((len(windows), len(boxes)))
    for column, (left, top, right, bottom) in enumerate(boxes.astype(int)):
        painted = np.zeros(SIZE, bool)
        painted[top:bottom, left:right] = True
        for row, window in enumerate(windows):
            part = painted[window.top : window.top + 64, window.left : window.left + 64]
            shares[row, column] = part.sum() / painted.sum()
            if part.any():
                y, x = np.nonzero(part)
                expected = [x.min(), y.min(), x.max() + 1, y.max() + 1]
                np.testing.assert_array_equal(cut.boxes[row, column], expected)
    best = shares.max(axis=0)
    assert (best < MIN_VISIBLE).any() and (best == 1).any()
    np.testing.assert_array_equal(cut.kept, (shares > 0) & (shares >= np.minimum(MIN_VISIBLE, best)))
    np.testing.assert_array_equal(cut.ignored, (shares > 0) & ~cut.kept)
    assert cut.kept.any(axis=0).all()


def test_half_is_kept_and_less_is_ignored() -> None:
    windows = [Window(0, 0, 20, 20), Window(0, 16, 20, 20)]
    cut = cut_boxes(np.array([[10, 2, 30, 8], [12, 2, 32, 8]], np.float32), windows)
    assert cut.kept.tolist() == [[True, False], [True, True]]
    assert cut.ignored.tolist() == [[False, True], [False, False]]


def test_an_image_without_boxes() -> None:
    cut = cut_boxes(np.zeros((0, 4), np.float32), [Window(0, 0, 20, 20)])
    assert cut.boxes.shape == (1, 0, 4) and cut.kept.shape == cut.ignored.shape == (1, 0)
