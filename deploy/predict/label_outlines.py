"""Label maps as parts and as polygons that labeling tools hold, from which the same map is drawn again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from pocketvision.datasets.coco.run_lengths import decode, draw

PartPixels = npt.NDArray[np.bool_]
PolygonCorners = npt.NDArray[np.float64]
"""(K, 2) of x and y, in pixels of the image."""

_TOLERANCES = (0.8, 0.6, 0.5, 0.4, 0.3, 0.2)
"""PartPixels that a simpler outline may stray, the coarsest first: what draws other pixels is not taken."""
_LEFT_OF = {(1, 0): (0, -1), (0, 1): (1, 0), (-1, 0): (0, 1), (0, -1): (-1, 0)}
"""Direction (x, y) of a step -> the one to its left."""


class MaskPart(NamedTuple):
    """PartPixels (h, w) of one class that hang together, at (left, top) of the image."""

    label: int
    left: int
    top: int
    pixels: PartPixels


class DrawnOutline(NamedTuple):
    """A polygon of one class; ``area`` is in pixels, with what lies inside."""

    label: int
    corners: PolygonCorners
    area: int


def parts_of(label_map: npt.NDArray[np.uint8]) -> Iterator[MaskPart]:
    """All parts of all classes; pixels that touch at a corner only are not connected."""
    for label in np.unique(label_map).tolist():
        mask = (label_map == label).astype(np.uint8)
        count, numbers, places, _ = cv2.connectedComponentsWithStats(mask, connectivity=4)
        for number in range(1, count):
            left, top, width, height = places[number, :4].tolist()
            yield MaskPart(label, left, top, numbers[top : top + height, left : left + width] == number)


def outlines_of(label_map: npt.NDArray[np.uint8], background: int | None = None) -> list[DrawnOutline]:
    """Polygons around all parts, the largest first: drawn over each other they give the label map (H, W).

    Of the ``background`` class are those parts alone that would be drawn over, which are holes.
    """
    covered = np.zeros(label_map.shape, np.bool_)
    outlines, holes = list[DrawnOutline](), list[MaskPart]()
    for part in parts_of(label_map):
        if part.label == background:
            holes.append(part)
            continue
        filled = _filled(part.pixels)
        height, width = filled.shape
        covered[part.top : part.top + height, part.left : part.left + width] |= filled
        outlines.append(_outline(part, filled))
    for part in holes:
        if covered[part.top, part.left + int(part.pixels[0].argmax())]:
            outlines.append(_outline(part, _filled(part.pixels)))
    return sorted(outlines, key=lambda outline: -outline.area)


def _filled(pixels: PartPixels) -> PartPixels:
    """A part with its holes, in which a part that touches it at a corner is inside as well."""
    outside = np.pad(~pixels, 1, constant_values=True).astype(np.uint8)
    _, numbers = cv2.connectedComponents(outside, connectivity=8)
    return np.asarray(numbers != numbers[0, 0], np.bool_)[1:-1, 1:-1]


def _outline(part: MaskPart, filled: PartPixels) -> DrawnOutline:
    exact = _around(filled)
    corners = next((simple for simple in _simpler(exact) if _draws(simple, filled)), exact)
    return DrawnOutline(part.label, corners + np.array([part.left, part.top]), int(filled.sum()))


def _around(pixels: PartPixels) -> PolygonCorners:
    """The edges of pixels that hang together and have no holes, clockwise from the top left."""
    inside = np.pad(pixels, 1).tolist()
    x, y = int(pixels[0].argmax()), 0
    start, (dx, dy), corners = (x, y), (1, 0), [(x, y)]
    while True:
        x, y = x + dx, y + dy
        left_x, left_y = _LEFT_OF[dx, dy]
        # Of the pixels around the corner (x, y), padded: the two that lie ahead, right and left of the edge.
        ahead_x, ahead_y = x + 0.5 + dx / 2, y + 0.5 + dy / 2
        right = inside[int(ahead_y - left_y / 2)][int(ahead_x - left_x / 2)]
        left = inside[int(ahead_y + left_y / 2)][int(ahead_x + left_x / 2)]
        if right and not left:
            continue
        dx, dy = (left_x, left_y) if right else (-left_x, -left_y)
        if (x, y) == start:
            return np.array(corners, np.float64)
        corners.append((x, y))


def _simpler(exact: PolygonCorners) -> Iterator[PolygonCorners]:
    """Polygons of fewer corners, through the middles of the edges of pixels.

    Their corners lie on fifths of a pixel, as pycocotools takes them: else rounding would move pixels.
    """
    steps = np.roll(exact, -1, axis=0) - exact
    lengths = np.abs(steps).sum(axis=1).astype(np.int64)
    number = np.arange(lengths.sum()) - np.repeat(lengths.cumsum() - lengths, lengths)
    middles = np.repeat(exact, lengths, axis=0) + np.repeat(np.sign(steps), lengths, axis=0) * (
        number[:, None] + 0.5
    )
    for tolerance in _TOLERANCES:
        simple = cv2.approxPolyDP(middles.astype(np.float32), tolerance, closed=True).reshape(-1, 2)
        if 3 <= len(simple) < len(exact):
            yield np.floor(simple.astype(np.float64) * 5 + 0.5) / 5


def _draws(corners: PolygonCorners, pixels: PartPixels) -> bool:
    """Whether the polygon gives these pixels where it is read."""
    size = pixels.shape[0], pixels.shape[1]
    return np.array_equal(decode(draw([corners.ravel().tolist()], size), size), pixels)
