"""Names go where they hide the least, and fit into any image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageDraw

from pocketvision.core.drawing import PALETTE, draw_boxes, drawing_sizes, name_regions, palette_for
from pocketvision.core.text_labels import (
    BoxName,
    Color,
    Rectangle,
    choose_place,
    fit_font,
    load_font,
    place_names,
    places_at_box,
    text_size,
    write,
)

SIZE = (200, 300)
NONE = np.empty((0, 4))


def place(box: tuple[float, ...], others: list[tuple[float, ...]], below: bool = False) -> tuple[float, ...]:
    return choose_place(places_at_box(box, (60, 16), below), (60, 16), SIZE, [], np.array([box, *others]))


def test_names_stand_outside_their_box_where_there_is_room() -> None:
    assert place((50, 60, 150, 140), []) == (50, 44, 110, 60)
    assert place((50, 60, 150, 140), [], below=True) == (50, 140, 110, 156)
    assert place((50, 0, 150, 140), [])[1] == 140, "below, as there is no room above"
    x1, y1, x2, y2 = place((0, 0, 300, 200), [])
    assert x1 >= 0 and y1 >= 0 and x2 <= 300 and y2 <= 200, "within the image, as it is the only place"


def test_names_make_way_for_other_objects_and_names() -> None:
    assert place((50, 60, 150, 140), [(40, 20, 90, 58)])[0] == 90, "at the other end of the edge"
    corners = places_at_box((50, 60, 150, 140), (60, 16), below=False)
    taken = [(40.0, 40.0, 160.0, 60.0)]
    left, top, right, bottom = choose_place(corners, (60, 16), SIZE, taken, NONE)
    assert bottom <= 40 or top >= 60 or right <= 40 or left >= 160


def test_in_a_crowd_only_needed_names_hide_objects_or_each_other() -> None:
    corners = np.random.default_rng(0).uniform((0, 0), (SIZE[1] - 12, SIZE[0] - 8), (120, 2))
    boxes = np.concatenate((corners, corners + np.array((12, 8))), axis=1)
    names = [BoxName("car 0.50", box, PALETTE[0], is_needed=i % 40 == 0) for i, box in enumerate(boxes)]
    places = place_names(names, [load_font(11)] * len(names), SIZE, boxes)
    shown = [i for i, found in enumerate(places) if found is not None]
    assert {0, 40, 80} <= set(shown) and 5 < len(shown) < 60
    for i in set(shown) - {0, 40, 80}:
        place = places[i]
        assert place is not None
        before = [other for other in places[:i] if other is not None]
        assert max(_shared(place, other) for other in before) == 0
        assert max(_shared(place, box) for j, box in enumerate(boxes) if j != i) <= 0.5 * 12 * 8


def test_no_name_is_left_out_where_there_is_room() -> None:
    boxes = np.array([(x, y, x + 40, y + 20) for x in (10, 110, 210) for y in (30, 90, 150)], float)
    names = [BoxName("car 0.50", box, PALETTE[0], is_needed=False) for box in boxes]
    assert None not in place_names(names, [load_font(11)] * len(names), SIZE, boxes)


def _shared(place: Rectangle, other: Sequence[float]) -> float:
    """Pixels that two rectangles share."""
    width = min(place[2], other[2]) - max(place[0], other[0])
    return max(width, 0) * max(min(place[3], other[3]) - max(place[1], other[1]), 0)


@pytest.mark.parametrize("side", [24, 100, 400, 3000])
def test_texts_fit_and_lines_grow_with_the_image(side: int) -> None:
    line_width, font_size = drawing_sizes((side, side))
    assert line_width >= 1 and font_size >= 11
    assert text_size(fit_font("person 0.99", font_size, side), "person 0.99")[0] <= max(side, 45)
    image = np.full((side, side, 3), 128, np.uint8)
    box = [[side * 0.2, side * 0.4, side * 0.9, side * 0.9]]
    drawn = draw_boxes(image, box, [0], ["cat"], line_width=line_width, font_size=font_size)
    share = (drawn == PALETTE[0]).all(axis=2).mean()
    assert 0.003 < share < 0.6
    if side == 3000:
        assert line_width >= 6 and font_size >= 40


def test_text_is_dark_on_light_and_light_on_dark() -> None:
    for color, text in (((240, 240, 90), (0, 0, 0)), ((10, 20, 90), (255, 255, 255))):
        canvas = Image.new("RGB", (80, 30))
        font = load_font(14)
        width, height = text_size(font, "name")
        write(ImageDraw.Draw(canvas), font, "name", (0, 0, width, height), color)
        assert (np.array(canvas)[:height, :width] == text).all(axis=2).any()


@pytest.mark.parametrize("color", PALETTE)
def test_letters_stand_out_from_every_color_of_the_palette(color: Color) -> None:
    """WCAG asks for a contrast of 4.5 between text and its background."""

    def luminance(values: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
        shares = values / 255
        linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
        return np.asarray(linear @ [0.2126, 0.7152, 0.0722])

    canvas = Image.new("RGB", (60, 40))
    write(ImageDraw.Draw(canvas), load_font(30), "HH", (0, 0, 60, 40), color)
    found = np.array(canvas)
    background = luminance(np.array(color, np.uint8))
    letters = luminance(found.reshape(-1, 3))
    contrast = (np.maximum(letters, background) + 0.05) / (np.minimum(letters, background) + 0.05)
    assert contrast.max() >= 4.5


def test_regions_are_named_inside_themselves() -> None:
    label_map = np.zeros((200, 300), np.uint8)
    label_map[:, 150:] = 1
    label_map[0, 0] = 2  # too small for a name
    image = np.zeros((200, 300, 3), np.uint8)
    palette = palette_for(("background", "sky", "dot"))
    assert palette[0] == (0, 0, 0) and palette[1] == PALETTE[0]
    named = name_regions(image, label_map, (None, "sky", "dot"), palette)
    rows, columns = np.nonzero(named.any(axis=2))
    assert columns.min() > 150 and columns.max() < 300 and abs(rows.mean() - 100) < 60
    assert (named[rows, columns] == palette[1]).all(axis=1).mean() > 0.4
    assert not (named == palette[2]).all(axis=2).any()
    np.testing.assert_array_equal(image, 0)
