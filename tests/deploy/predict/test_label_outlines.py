"""Polygons that are drawn over each other give the label map again, holes and islands in them too."""

from __future__ import annotations

import numpy as np
import pytest

from pocketvision.datasets.coco.run_lengths import decode, draw
from pocketvision.deploy.predict.label_outlines import DrawnOutline, outlines_of, parts_of


def drawn(outlines: list[DrawnOutline], size: tuple[int, int], rest: int) -> np.ndarray:
    found = np.full(size, rest, np.uint8)
    for outline in outlines:
        found[decode(draw([outline.corners.ravel().tolist()], size), size)] = outline.label
    return found


@pytest.mark.parametrize("background", [None, 0])
def test_any_label_map_is_drawn_again(background: int | None) -> None:
    generator = np.random.default_rng(0)
    for _ in range(150):
        size = tuple(generator.integers(1, 14, 2).tolist())
        label_map = generator.integers(0, generator.integers(1, 4), size).astype(np.uint8)
        outlines = outlines_of(label_map, background)
        rest = 99 if background is None else background
        np.testing.assert_array_equal(drawn(outlines, size, rest), label_map)
        areas = [outline.area for outline in outlines]
        assert areas == sorted(areas, reverse=True)


def test_a_hole_is_of_the_background_and_the_rest_of_it_is_not_drawn() -> None:
    label_map = np.zeros((20, 30), np.uint8)
    label_map[2:18, 3:27] = 1
    label_map[6:14, 8:22] = 0
    label_map[8:12, 12:16] = 2
    outlines = outlines_of(label_map, background=0)
    assert [(outline.label, outline.area) for outline in outlines] == [(1, 384), (0, 112), (2, 16)]
    assert outlines[0].corners.tolist() == [[3, 2], [27, 2], [27, 18], [3, 18]]


def test_a_round_part_has_few_corners_and_no_other_pixels() -> None:
    y, x = np.mgrid[:200, :200]
    label_map = ((x - 90) ** 2 + (y - 110) ** 2 < 70**2).astype(np.uint8)
    (outline,) = outlines_of(label_map, background=0)
    np.testing.assert_array_equal(drawn([outline], label_map.shape, 0), label_map)
    steps = np.abs(np.diff(label_map, axis=1)).sum() + np.abs(np.diff(label_map, axis=0)).sum()
    assert len(outline.corners) < steps / 5, "of the edges of pixels around it"
    moved = outline._replace(corners=outline.corners + 1e-6)
    np.testing.assert_array_equal(drawn([moved], label_map.shape, 0), label_map)


def test_parts_hold_every_pixel_once() -> None:
    label_map = np.random.default_rng(1).integers(0, 3, (9, 7)).astype(np.uint8)
    count = np.zeros(label_map.shape, int)
    for part in parts_of(label_map):
        height, width = part.pixels.shape
        place = np.s_[part.top : part.top + height, part.left : part.left + width]
        assert (label_map[place][part.pixels] == part.label).all()
        count[place] += part.pixels
    assert (count == 1).all()
