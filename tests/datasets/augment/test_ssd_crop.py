"""SSD's windows: whole pixels, and the overlap that they keep."""

from __future__ import annotations

import numpy as np
import pytest

from pocketvision.datasets.augment.ssd_crop import (
    boxes_in,
    centers_inside,
    clean_boxes,
    crop_window,
    expand_window,
    jitter_window,
)

WHOLE = np.array([0.0, 0.0, 401.0, 303.0])
OPTIONS = {"probability": 1.0, "min_side": 0.3, "max_aspect_ratio": 2.0, "trials": 100}


def test_windows_are_of_whole_pixels() -> None:
    """So that nothing is resampled that need not be; only ``jitter_window`` is exact instead."""
    boxes = np.array([[100, 100, 200, 200]], dtype=np.float32)
    starts = set()
    for seed in range(50):
        rng = np.random.default_rng(seed)
        for window in (
            expand_window((303, 401), (1.0, 3.0), rng),
            crop_window(boxes, WHOLE, min_ious=(0.1,), rng=rng, **OPTIONS),  # type: ignore[arg-type]
        ):
            assert (window == np.round(window)).all()
            starts.add(float(window[0]))
    assert len(starts) > 50
    jittered = jitter_window((303, 401), (0.5, 2.0), np.random.default_rng(0))
    assert (jittered != np.round(jittered)).all()


def test_zoomed_out_windows_have_the_sides_that_were_drawn() -> None:
    rng = np.random.default_rng(0)
    windows = np.array([expand_window((200, 100), (1.0, 3.0), rng) for _ in range(2000)])
    widths, heights = windows[:, 2] - windows[:, 0], windows[:, 3] - windows[:, 1]
    assert np.abs(heights - 2 * widths).max() <= 2
    assert 100 <= widths.min() < 102 and 298 < widths.max() <= 300
    room = -windows[:, :2] / np.maximum(np.stack((widths - 100, heights - 200), axis=1), 1)
    assert np.abs(room.mean(axis=0) - 0.5).max() < 0.04


def test_one_box_must_have_both_its_center_in_the_crop_and_the_overlap() -> None:
    """Tiny boxes have their centers in every crop; a large one overlaps, its center being outside."""
    x, y = np.meshgrid(np.arange(10, 400, 20), np.arange(10, 300, 20))
    tiny = np.stack((x, y, x + 3, y + 3), axis=-1).reshape(-1, 4)
    boxes = np.concatenate((tiny, [[0, 0, 401, 303]])).astype(np.float32)
    for seed in range(200):
        rng = np.random.default_rng(seed)
        window = crop_window(boxes, WHOLE, min_ious=(0.3,), rng=rng, **OPTIONS)  # type: ignore[arg-type]
        left, top, right, bottom = window
        assert left < 200.5 < right and top < 151.5 < bottom
        assert (right - left) * (bottom - top) >= 0.3 * 401 * 303


def test_a_whole_image_is_kept_as_often_as_stated() -> None:
    boxes = np.array([[10, 10, 390, 290]], dtype=np.float32)
    rng = np.random.default_rng(0)
    for probability in (0.0, 0.3, 1.0):
        options = {**OPTIONS, "probability": probability}
        kept = [crop_window(boxes, WHOLE, min_ious=(0.1,), rng=rng, **options) is WHOLE for _ in range(400)]  # type: ignore[arg-type]
        assert np.mean(kept) == pytest.approx(1 - probability, abs=0.07)


def test_drawn_windows_spread_over_the_whole_image() -> None:
    """Sides from ``min_side`` to all of it, at any place; aspect ratios up to the limit and its inverse."""
    boxes = np.array([[0, 0, 401, 303]], dtype=np.float32)
    rng = np.random.default_rng(0)
    options = {**OPTIONS, "trials": 5, "max_aspect_ratio": 1.5}
    windows = np.array(
        [crop_window(boxes, WHOLE, min_ious=(0.0,), rng=rng, **options) for _ in range(3000)]  # type: ignore[arg-type]
    )
    sides = windows[:, 2:] - windows[:, :2]
    assert (windows[:, :2] >= 0).all() and (windows[:, 2:] <= (401, 303)).all()
    assert 0.28 < (sides / (401, 303)).min() < 0.33 and (sides / (401, 303)).max() > 0.97
    assert (windows[:, :2].min(axis=0) == 0).all()
    ratios = sides[:, 0] / sides[:, 1]
    assert 1 / 1.55 < ratios.min() < 0.72 and 1.4 < ratios.max() < 1.55


def test_boxes_of_a_window() -> None:
    boxes = np.array(
        [[0, 0, 10, 10], [10, 10, 30, 30], [12, 12, 12.5, 30], [19, 12, 23, 20], [5, 5, 15, 15]],
        dtype=np.float32,
    )
    kept, labels = boxes_in(boxes, np.arange(5), (8, 8, 21, 21))
    assert labels.tolist() == [1, 4], "3 has its center on the border, 2 has half a pixel of width"
    assert (kept == boxes[labels]).all(), "uncut: what is shown decides where they end"


def test_a_center_on_the_border_is_outside_and_a_side_of_one_pixel_is_enough() -> None:
    window = (8, 8, 20, 20)
    on_border = [[4, 10, 12, 14], [16, 10, 24, 14], [10, 4, 14, 12], [10, 16, 14, 24]]
    assert len(boxes_in(np.array(on_border, dtype=np.float32), np.arange(4), window)[1]) == 0
    sides = [[10, 10, 11, 14], [10, 10, 10.9, 14], [10, 10, 14, 11], [10, 10, 14, 10.9]]
    assert boxes_in(np.array(sides, dtype=np.float32), np.arange(4), window)[1].tolist() == [0, 2]
    assert clean_boxes(np.array(sides, dtype=np.float32), np.arange(4), (30, 30))[1].tolist() == [0, 2]


def test_windows_of_the_smallest_images_have_an_area() -> None:
    boxes = np.array([[0, 0, 2, 2]], dtype=np.float32)
    for seed in range(60):
        rng = np.random.default_rng(seed)
        window = crop_window(boxes, np.array([0.0, 0, 2, 2]), min_ious=(0.0,), rng=rng, **OPTIONS)  # type: ignore[arg-type]
        assert (window[2:] > window[:2]).all()


class _FixedDraws(np.random.Generator):
    """Draws ``value`` wherever one number is asked for, and counts the choices among ``min_ious``."""

    def __init__(self, value: float) -> None:
        super().__init__(np.random.PCG64(0))
        self.value, self.choices = value, 0

    def random(self, size: object = None, **options: object) -> object:  # type: ignore[override]
        return self.value if size is None else super().random(size, **options)  # type: ignore[call-overload]

    def integers(self, *arguments: object, **options: object) -> object:  # type: ignore[override]
        self.choices += 1
        return super().integers(*arguments, **options)  # type: ignore[call-overload]


def test_the_search_for_a_crop_ends_after_fifty_draws() -> None:
    boxes, rng = np.array([[10, 10, 30, 30]], dtype=np.float32), _FixedDraws(0.0)
    found = crop_window(boxes, WHOLE, min_ious=(1.1,), rng=rng, **OPTIONS)  # type: ignore[arg-type]
    assert found is WHOLE and rng.choices == 50


def test_a_probability_of_zero_never_crops_even_where_zero_is_drawn() -> None:
    boxes = np.array([[0, 0, 401, 303]], dtype=np.float32)
    options = {**OPTIONS, "probability": 0.0}
    found = crop_window(boxes, WHOLE, min_ious=(0.0,), rng=_FixedDraws(0.0), **options)  # type: ignore[arg-type]
    assert found is WHOLE


@pytest.mark.parametrize("box", [(0.2, 0.1, 0.6, 0.9), (0.1, 0.2, 0.9, 0.6)])
def test_sides_below_a_pixel_overlap_as_far_as_they_go(box: tuple[float, ...]) -> None:
    """A window of one pixel and this box have an IoU of 0.32, larger windows have less."""
    boxes, image = np.array([box], dtype=np.float32), np.array([0.0, 0, 2, 2])
    for min_iou, is_found in ((0.31, True), (0.33, False)):
        rng = np.random.default_rng(0)
        window = crop_window(boxes, image, min_ious=(min_iou,), rng=rng, **OPTIONS)  # type: ignore[arg-type]
        assert window.tolist() == ([0, 0, 1, 1] if is_found else [0, 0, 2, 2])


@pytest.mark.parametrize(("x", "y"), [(0, 0), (1, 1)])
def test_an_overlap_of_exactly_the_least_is_enough(x: int, y: int) -> None:
    """The only windows of two pixels with the center hold the whole box and are twice as large."""
    boxes, image = np.array([[x + 0.5, y, x + 1.5, y + 1]], dtype=np.float32), np.array([0.0, 0, 4, 4])
    rng = np.random.default_rng(0)
    window = crop_window(boxes, image, min_ious=(0.5,), rng=rng, **OPTIONS)  # type: ignore[arg-type]
    assert window.tolist() == [x, y, x + 2, y + 1]


def test_centers_on_any_side_of_a_window_are_outside() -> None:
    boxes = np.array([[0, 2, 2, 4], [4, 2, 6, 4], [2, 0, 4, 2], [2, 4, 4, 6], [2, 2, 4, 4]], np.float32)
    windows = np.array([[1.0, 1, 5, 5], [0, 0, 6, 6]])
    assert centers_inside(boxes, windows).tolist() == [[False] * 4 + [True], [True] * 5]
