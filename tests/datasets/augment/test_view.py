from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from pocketvision.core.resize import Resize
from pocketvision.datasets.augment.view import needed_scale, show, turn

GREEN = (0, 255, 0)
WHOLE = (0, 0, 120, 80)


def scene() -> tuple[np.ndarray, np.ndarray]:
    """A black image (80, 120, 3) with a red rectangle, and its box."""
    image = np.zeros((80, 120, 3), dtype=np.uint8)
    image[20:60, 30:90, 0] = 255
    return image, np.array([[30, 20, 90, 60]], dtype=np.float32)


def red_box(view: np.ndarray) -> list[int]:
    rows, columns = np.nonzero((view[..., 0] > 127) & (view[..., 1] < 127))
    return [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


@pytest.mark.parametrize("resize", [Resize((48, 48)), Resize((48, 48), mode="letterbox", antialias=True)])
def test_the_whole_image_is_the_plain_resize(resize: Resize) -> None:
    image, boxes = scene()
    view, landing = show(image, (80, 120), WHOLE, resize, GREEN)
    assert (view == resize.apply(image)).all()
    np.testing.assert_allclose(landing(boxes), resize.apply_to_boxes(boxes, (80, 120)), atol=1e-5)


def test_a_part_is_cut_and_resized() -> None:
    image, _ = scene()
    view, _ = show(image, (80, 120), (10, 5, 70, 65), Resize((40, 40)), GREEN)
    assert (view == cv2.resize(image[5:65, 10:70], (40, 40))).all()


@pytest.mark.parametrize("mode", ["stretch", "letterbox"])
@pytest.mark.parametrize("reduction", [1, 2, 4])
@pytest.mark.parametrize("window", [WHOLE, (-31, -17, 210, 100), (7.3, 3.1, 110.7, 77.7), (20, -40, 300, 75)])
def test_boxes_land_on_their_objects(window: tuple[float, ...], reduction: int, mode: str) -> None:
    image, boxes = scene()
    resize = Resize((150, 150), mode=mode, fill=90)  # type: ignore[arg-type]
    pixels = cv2.resize(image, (120 // reduction, 80 // reduction), interpolation=cv2.INTER_AREA)
    view, landing = show(pixels, (80, 120), window, resize, GREEN)
    assert view.shape == (150, 150, 3)
    limit = resize.content_size((int(window[3] - window[1]), int(window[2] - window[0])))
    expected = np.clip(landing(boxes)[0], 0, np.tile(limit[::-1], 2))
    blurred = 0 if reduction == 1 else reduction * max(landing.scale) / 2
    assert np.abs(expected - red_box(view)).max() <= 1 + blurred


def test_beyond_the_image_is_the_fill_color() -> None:
    image, _ = scene()
    image[...] = 7
    view, landing = show(image, (80, 120), (-120, -80, 240, 160), Resize((90, 90)), GREEN)
    assert (view[30:60, 30:60] == 7).all() and landing.offset == (30, 30)
    assert (view == GREEN).all(axis=2).sum() == 90 * 90 - 30 * 30


@pytest.mark.parametrize("reduction", [1, 2, 4])
@pytest.mark.parametrize(
    "window", [(-31, -17, 210, 100), (-3, 12, 60, 81), (20, -40, 300, 76), (8, 12, 72, 60)]
)
def test_borders_fall_on_the_nearest_pixel(window: tuple[int, ...], reduction: int) -> None:
    """Of the image where the window reaches beyond it, of the window elsewhere."""
    pixels = scene()[0][::reduction, ::reduction]
    _, landing = show(pixels, (80, 120), window, Resize((150, 130)), GREEN)
    scale = 130 / (window[2] - window[0]), 150 / (window[3] - window[1])
    corners = np.array([0, 0, 120, 80]).clip(window[:2] * 2, window[2:] * 2)
    exact = (corners - np.tile(window[:2], 2)) * np.tile(scale, 2)
    np.testing.assert_allclose(landing(corners[None].astype(np.float32))[0], exact, atol=0.5 + 1e-4)


@pytest.mark.parametrize("window", [(0.0, 0.0, 10.5, 4.0), (0.0, 0.0, 4.0, 10.5), (10.0, 20.0, 20.2, 60.0)])
def test_letterboxed_windows_are_as_large_as_their_pixels(window: tuple[float, ...]) -> None:
    """A fractional window counts the pixels that it touches; the rest has the letterbox's color."""
    resize = Resize((90, 100), mode="letterbox", fill=33)
    image = np.full((80, 120, 3), 200, dtype=np.uint8)
    view, landing = show(image, (80, 120), window, resize, GREEN)
    size = math.ceil(window[3] - window[1]), math.ceil(window[2] - window[0])
    rows, columns = resize.content_size(size)
    assert view.shape == (90, 100, 3) and landing.content == (rows, columns)
    assert (view[:rows, :columns] == 200).all()
    assert (view[rows:] == 33).all() and (view[:, columns:] == 33).all()
    scale = max(rows / (window[3] - window[1]), columns / (window[2] - window[0]))
    assert needed_scale(window, resize) == pytest.approx(scale)


@pytest.mark.parametrize(
    "window", [(130, 0, 210, 80), (-90, 0, -10, 80), (0, 85, 120, 165), (0, -90, 120, -5)]
)
def test_a_window_beside_the_image_shows_its_nearest_row_or_column(window: tuple[int, ...]) -> None:
    image = np.full((80, 120, 3), 200, dtype=np.uint8)
    view, _ = show(image, (80, 120), window, Resize((40, 40)), GREEN)
    is_image = (view == 200).all(axis=2)
    assert is_image.sum() == 40 and (view[~is_image] == GREEN).all()


def test_needed_scale() -> None:
    assert needed_scale((10, 20, 70, 60), Resize((40, 60))) == 1
    assert needed_scale(WHOLE, Resize((40, 60))) == 0.5
    assert needed_scale(WHOLE, Resize((40, 40))) == 0.5
    assert needed_scale((0, 0, 60, 40), Resize((40, 60))) == 1
    assert needed_scale((0, 0, 240, 160), Resize((60, 60), mode="letterbox")) == 0.25


@pytest.mark.parametrize("quarters", range(4))
def test_turned_boxes_stay_on_their_objects(quarters: int) -> None:
    image, boxes = scene()
    size, turned = turn(boxes, (80, 120), quarters)
    rotated = np.rot90(image, quarters)
    assert rotated.shape[:2] == size and red_box(rotated) == turned[0].tolist()
    view, _ = show(rotated, size, (0, 0, size[1], size[0]), Resize((48, 48)), GREEN)
    assert (view == Resize((48, 48)).apply(np.ascontiguousarray(rotated))).all()
