"""Every place for a part of an image is drawn, the last one too."""

from __future__ import annotations

import numpy as np

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
