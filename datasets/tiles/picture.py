"""A tile as a picture of its own, in which what is neither an object nor background is painted over."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from pocketvision.core.structures import Size, Window
from pocketvision.datasets.images.read import Array, Reading
from pocketvision.datasets.records.annotations import Boxes

_NO_BOXES: Boxes = np.zeros((0, 4), np.float32)


@dataclass(frozen=True)
class TilePicture:
    """The part ``window`` of what ``read_whole`` gives.

    ``painted`` boxes (M, 4), in pixels of the tile, get the color ``fill`` but where one of ``spared``
    (G, 4) lies: a network is not to learn what it sees there, neither as an object nor as background.
    """

    read_whole: Callable[[], Reading]
    window: Window
    painted: Boxes = field(default_factory=lambda: _NO_BOXES)
    spared: Boxes = field(default_factory=lambda: _NO_BOXES)
    fill: tuple[int, ...] = ()

    @property
    def size(self) -> Size:
        """(height, width) of the tile."""
        return self.window.height, self.window.width

    def read(self, scale: float = 1.0) -> Reading:
        """The tile (h, w, C) uint8, whatever ``scale``; raises what ``read_whole`` raises."""
        pixels = cut_out(self.read_whole().pixels, self.window)
        pixels = painted_over(pixels, self.painted, self.spared, self.fill)
        return Reading(pixels, self.size, self.size)


def painted_over(pixels: Array, painted: Boxes, spared: Boxes, fill: tuple[int, ...]) -> Array:
    """A picture (H, W, C) with the color ``fill`` in ``painted`` boxes (M, 4), not in ``spared`` (G, 4)."""
    if not len(painted):
        return pixels
    is_painted = np.zeros(pixels.shape[:2], dtype=np.bool_)
    for boxes, value in ((painted, True), (spared, False)):
        for left, top, right, bottom in boxes.tolist():
            is_painted[int(top) : math.ceil(bottom), int(left) : math.ceil(right)] = value
    channels = pixels.shape[2]
    color = fill if len(fill) == channels else (round(sum(fill) / len(fill)),)
    result: Array = pixels.copy()
    result[is_painted] = np.array(color, dtype=np.uint8)
    return result


def cut_out(pixels: Array, window: Window) -> Array:
    """The part of an image or mask (H, W, ...) that a window shows; a view."""
    top, left, height, width = window
    part: Array = pixels[top : top + height, left : left + width]
    return part
