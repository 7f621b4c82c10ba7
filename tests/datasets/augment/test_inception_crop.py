"""Every place for a part of an image is drawn, the last one too."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pocketvision.datasets.augment.inception_crop import inception_window


def test_first_and_last_places_are_drawn_as_often_as_others() -> None:
    """A square of 9 pixels in 3x6: one row and four columns to begin at."""
    rng = np.random.default_rng(0)
    windows = [inception_window((3, 6), (0.5, 0.5), (1.0, 1.0), rng) for _ in range(2000)]
    assert {(rows.start, rows.stop) for rows, _ in windows} == {(0, 3)}
    starts = np.bincount([columns.start for _, columns in windows])
    assert len(starts) == 4 and (np.abs(starts / 2000 - 0.25) < 0.04).all()


def test_rows_and_columns_are_drawn_apart() -> None:
    rng = np.random.default_rng(0)
    windows = [inception_window((6, 6), (0.25, 0.25), (1.0, 1.0), rng) for _ in range(3000)]
    counts = np.zeros((4, 4))
    for rows, columns in windows:
        assert rows.stop - rows.start == columns.stop - columns.start == 3
        counts[rows.start, columns.start] += 1
    assert (np.abs(counts / 3000 - 1 / 16) < 0.02).all()


@pytest.mark.parametrize(
    ("scale", "ratio", "sides"),
    [(0.6, 1.0, (8, 8)), (0.5, 1.0, (7, 7)), (0.3, 2.0, (4, 8)), (0.3, 0.5, (8, 4))],
)
def test_sides_are_rounded_to_whole_pixels(scale: float, ratio: float, sides: tuple[int, int]) -> None:
    rows, columns = inception_window((10, 10), (scale, scale), (ratio, ratio), np.random.default_rng(0))
    assert (rows.stop - rows.start, columns.stop - columns.start) == sides


@pytest.mark.parametrize(
    ("size", "ratio", "expected"),
    [((1, 5), 4.0, (slice(0, 1), slice(0, 4))), ((5, 1), 0.25, (slice(0, 4), slice(0, 1)))],
)
def test_parts_without_a_row_or_a_column_are_drawn_anew(
    size: tuple[int, int], ratio: float, expected: tuple[slice, slice]
) -> None:
    assert inception_window(size, (0.1, 0.1), (ratio, ratio), np.random.default_rng(0)) == expected


@pytest.mark.parametrize(
    ("size", "scale", "expected"),
    [
        ((5, 1), 1.0, (slice(2, 3), slice(0, 1))),
        ((1, 5), 1.0, (slice(0, 1), slice(2, 3))),
        ((2, 9), 1.0, (slice(0, 2), slice(3, 6))),
        ((9, 2), 1.0, (slice(3, 6), slice(0, 2))),
        ((1, 1), 0.1, (slice(0, 1), slice(0, 1))),  # less than half a pixel
    ],
)
def test_the_largest_centered_part_where_no_draw_fits(
    size: tuple[int, int], scale: float, expected: tuple[slice, slice]
) -> None:
    class Counted:
        num_draws, random = 0, np.random.default_rng(0)

        def uniform(self, low: float, high: float) -> float:
            self.num_draws += 1
            return float(self.random.uniform(low, high))

    rng: Any = Counted()
    assert inception_window(size, (scale, scale), (3 / 4, 4 / 3), rng) == expected
    assert rng.num_draws == 2 * 10
