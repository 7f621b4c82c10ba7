"""Names on pictures: readable, within the image, and where they hide the least."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import ImageFont
from PIL.ImageDraw import ImageDraw

from pocketvision.core.structures import Size

Color = tuple[int, int, int]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
Rectangle = tuple[float, float, float, float]
"""x1, y1, x2, y2."""

_SMALLEST = 7
_COST_OF_NAMES = 20.0
"""A covered name is worse than a covered part of an object."""
_MIDDLE_LUMINANCE = 0.179
"""Black and white letters have the same contrast to it, 4.6."""
_MOST_HIDDEN = 0.5
"""Of another object, by a name that is not needed."""
_COST_OF_RANK = 0.03
"""What a later place costs, as a share of the name's area: small overlaps do not move a name."""


class BoxName(NamedTuple):
    """A name above or below a box xyxy; one that is not needed is left out where there is no room."""

    text: str
    box: Sequence[float]
    color: Color
    is_below: bool = False
    is_needed: bool = True


@lru_cache(maxsize=32)
def load_font(size: int) -> Font:
    """Pillow's own font of ``size`` pixels; reading it takes milliseconds."""
    return ImageFont.load_default(size)


def fit_font(text: str, size: int, width: int) -> Font:
    """The font of ``size``, or a smaller one in which ``text`` is no wider than ``width``."""
    needed = text_size(load_font(size), text)[0]
    return load_font(size if needed <= width else max(_SMALLEST, size * width // needed))


def text_size(font: Font, text: str) -> tuple[int, int]:
    """(width, height) of ``text`` on its background."""
    # One height for all texts, whether or not they have letters that reach below the line.
    return math.ceil(font.getbbox(text)[2]) + 6, math.ceil(font.getbbox("Ágy")[3]) + 3


def places_at_box(box: Sequence[float], size: tuple[int, int], below: bool) -> list[tuple[float, float]]:
    """Left upper corners for a text of ``size`` (width, height) around ``box`` xyxy, the best first."""
    left, top, right, bottom = box
    width, height = size
    over, under = (top - height, top - 2 * height), (bottom, bottom + height)
    first, second = (under, over) if below else (over, under)
    inside = (bottom - height, top) if below else (top, bottom - height)
    rows = (first[0], second[0], first[1], second[1], *inside)
    beside = [(x, y) for y in inside for x in (left - width, right)]
    return [*((x, y) for y in rows for x in (left, right - width)), *beside]


def places_around(center: tuple[float, float], size: tuple[int, int]) -> list[tuple[float, float]]:
    """Left upper corners for a text of ``size`` (width, height) over a point (x, y), or moved up and down."""
    left, top = center[0] - size[0] / 2, center[1] - size[1] / 2
    return [(left, top + size[1] * step) for step in (0, 1, -1, 2, -2)]


def choose_place(
    corners: Sequence[tuple[float, float]],
    size: tuple[int, int],
    image_size: Size,
    names: Sequence[Rectangle],
    boxes: npt.NDArray[np.float64],
) -> Rectangle:
    """The place, moved into the image, that hides the least of ``names`` and of ``boxes`` (G, 4)."""
    height, width = image_size
    places = np.empty((len(corners), 4))
    for place, (x, y) in zip(places, corners, strict=True):
        place[0] = max(0, min(round(x), width - size[0]))
        place[1] = max(0, min(round(y), height - size[1]))
    places[:, 2:] = places[:, :2] + size
    cost = _COST_OF_NAMES * _overlaps(places, np.array(names).reshape(-1, 4)).sum(axis=1)
    cost += _overlaps(places, boxes).sum(axis=1) + _COST_OF_RANK * size[0] * size[1] * np.arange(len(places))
    left, top, right, bottom = places[int(cost.argmin())].tolist()
    return left, top, right, bottom


def place_names(
    names: Sequence[BoxName], fonts: Sequence[Font], image_size: Size, boxes: npt.NDArray[np.float64]
) -> list[Rectangle | None]:
    """A place for each name in turn, outside ``boxes`` (G, 4) where there is room; None leaves it out.

    Left out are names that are not needed and would lie on another one, or hide most of one of ``boxes``.
    """
    places: list[Rectangle | None] = []
    for name, font in zip(names, fonts, strict=True):
        size = text_size(font, name.text)
        taken = [place for place in places if place is not None]
        place = choose_place(places_at_box(name.box, size, name.is_below), size, image_size, taken, boxes)
        hides = _hides(place, taken, boxes[(boxes != name.box).any(axis=1)])
        places.append(None if hides and not name.is_needed else place)
    return places


def _hides(place: Rectangle, names: Sequence[Rectangle], boxes: npt.NDArray[np.float64]) -> bool:
    """Whether a name at ``place`` lies on one of ``names``, or on most of one of ``boxes`` (G, 4)."""
    here = np.array([place])
    hidden = _overlaps(here, boxes)[0] > _MOST_HIDDEN * (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    return bool(hidden.any() or _overlaps(here, np.array(names).reshape(-1, 4)).any())


def _overlaps(places: npt.NDArray[Any], others: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Of each of ``places`` (P, 4) with each of ``others`` (G, 4), in pixels: (P, G)."""
    corner = np.minimum(places[:, None, 2:], others[None, :, 2:])
    sides = (corner - np.maximum(places[:, None, :2], others[None, :, :2])).clip(0)
    return np.asarray(sides[..., 0] * sides[..., 1], dtype=np.float64)


def write(draw: ImageDraw, font: Font, text: str, place: Rectangle, color: Color) -> None:
    """Black or white ``text`` on ``color`` at ``place``."""
    left, top, right, bottom = place
    draw.rectangle((left, top, right - 1, bottom - 1), fill=color)
    ink = (0, 0, 0) if _luminance(color) > _MIDDLE_LUMINANCE else (255, 255, 255)
    draw.text((left + 3, top), text, fill=ink, font=font)


def _luminance(color: Color) -> float:
    """From 0 for black to 1 for white, as WCAG defines it for contrast."""
    shares = [value / 255 for value in color]
    red, green, blue = (s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
