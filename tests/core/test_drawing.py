"""Drawing: colors where they belong, names inside the image, files written whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage

from pocketvision.core.drawing import (
    IGNORED_COLOR,
    PALETTE,
    BoxName,
    color_mask,
    contact_sheet,
    draw_boxes,
    draw_names,
    legend,
    name_boxes,
    overlay_mask,
    save_image,
    stack,
)

GRAY = np.full((120, 160, 3), 128, np.uint8)
RED = (255, 0, 0)


def test_palette_has_distinct_colors() -> None:
    assert len(set(PALETTE)) == len(PALETTE) >= 21


def test_boxes_are_drawn_on_a_copy_and_inside_their_edges() -> None:
    drawn = draw_boxes(GRAY, torch.tensor([[20.0, 40, 100, 90]]), torch.tensor([0]), None, color=RED)
    changed = np.argwhere((drawn != GRAY).any(axis=2))
    assert changed.min(axis=0).tolist() == [40, 20] and changed.max(axis=0).tolist() == [89, 99]
    assert (GRAY == 128).all()
    assert tuple(drawn[60, 20]) == RED and tuple(drawn[60, 60]) == (128, 128, 128)


@pytest.mark.parametrize("is_below", [False, True])
@pytest.mark.parametrize("box", [[0, 0, 30, 30], [140, 100, 160, 120], [0, 0, 160, 120]])
def test_names_stay_inside_the_image(is_below: bool, box: list[float]) -> None:
    named = draw_boxes(GRAY, [box], [0], None, [0.5], RED)
    named = draw_names(named, [BoxName("traffic light 0.50", box, RED, is_below)])
    lines = draw_boxes(GRAY, [box], [0], None, [0.5], RED)
    assert named.shape == GRAY.shape
    area = (named != lines).any(axis=2)
    assert np.ptp(np.argwhere(area), axis=0)[0] >= 12
    assert (named[area] == 0).all(axis=1).any() or (named[area] == 255).all(axis=1).any(), "text is seen"


def test_names_of_equal_boxes_do_not_cover_each_other() -> None:
    boxes, names = [[20, 50, 120, 110]] * 2, ["first", "second"]
    both = draw_boxes(GRAY, boxes, [0, 1], names)
    alone = draw_boxes(GRAY, boxes[:1], [0], names)
    filled = [(image == PALETTE[0]).all(axis=2).sum() for image in (both[30:49], alone[30:49])]
    assert filled[0] == filled[1]


def test_in_a_crowd_the_first_of_each_class_has_its_name() -> None:
    names = name_boxes([[20, 50, 32, 60]] * 5, [2, 0, 2, 1, 0], ["a", None, "c"], [RED] * 5, [0.9] * 5)
    assert [name.text for name in names if name.is_needed] == ["c 0.90", "a 0.90", "1 0.90"]


def test_no_boxes_and_reserved_classes() -> None:
    np.testing.assert_array_equal(draw_boxes(GRAY, torch.zeros(0, 4), torch.zeros(0), ["a"]), GRAY)
    assert (draw_boxes(GRAY, [[5, 50, 50, 90]], [1], ["a", None]) != GRAY).any()


def test_masks() -> None:
    mask = np.array([[0, 1], [len(PALETTE), 255]], np.uint8)
    colors = color_mask(mask)
    assert tuple(colors[0, 0]) == tuple(colors[1, 0]) == PALETTE[0]
    assert tuple(colors[0, 1]) == PALETTE[1] and tuple(colors[1, 1]) == IGNORED_COLOR
    image = np.zeros((2, 2, 3), np.uint8)
    np.testing.assert_array_equal(overlay_mask(image, mask, alpha=1.0), colors)
    np.testing.assert_array_equal(overlay_mask(image, mask, alpha=0.0), image)


def test_sheets_hold_tiles_of_different_sizes() -> None:
    tiles = [GRAY, GRAY[:50], GRAY[:, :70]]
    sheet = contact_sheet(tiles, 2)
    assert contact_sheet(tiles, 2, ["a", "b", "c"]).shape[0] >= sheet.shape[0] + 2 * 12
    assert (sheet == 128).all(axis=2).sum() == sum(tile.shape[0] * tile.shape[1] for tile in tiles)
    assert stack(GRAY, GRAY[:, :10]).shape == (240, 160, 3)


def test_legend_wraps_to_its_width() -> None:
    one, many = legend(["a"], width=300), legend(["traffic light", None] * 10, width=300)
    assert one.shape[1] == many.shape[1] == 300 and many.shape[0] > 3 * one.shape[0]


@pytest.mark.parametrize("name", ["a.png", "b.jpg"])
def test_saved_images_can_be_opened(tmp_path: Path, name: str) -> None:
    save_image(tmp_path / "new" / name, GRAY)
    with PillowImage.open(tmp_path / "new" / name) as image:
        assert image.size == (160, 120) and image.format == ("PNG" if name.endswith("png") else "JPEG")
    assert [path.name for path in (tmp_path / "new").iterdir()] == [name]
