"""Large images in overlapping tiles: where they lie."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from pocketvision.core.structures import Size


class Window(NamedTuple):
    """A part of an image: its upper left corner and its size, in pixels."""

    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True)
class Tiling:
    """Tiles of ``tile`` (height, width) that share at least ``overlap`` of their sides with the next.

    They are spread evenly; an image that is smaller in a direction has one tile there, of its own size.

    Raises:
        ValueError: a value makes no tiles.
    """

    tile: Size
    overlap: float = 0.2

    def __post_init__(self) -> None:
        if len(self.tile) != 2 or min(self.tile) < 16:
            raise ValueError(f"The tile is {self.tile}: give its height and width, at least 16 pixels each.")
        if not 0 <= self.overlap < 0.9:
            raise ValueError(f"The overlap of tiles is {self.overlap}: give a share from 0, below 0.9.")

    def windows(self, image_size: Size) -> list[Window]:
        """The tiles of an image of (height, width), row by row."""
        tops, lefts = (self._starts(*sides) for sides in zip(image_size, self.tile, strict=True))
        height, width = (min(sides) for sides in zip(image_size, self.tile, strict=True))
        return [Window(top, left, height, width) for top in tops for left in lefts]

    def _starts(self, length: int, tile: int) -> list[int]:
        if length <= tile:
            return [0]
        steps = math.ceil((length - tile) / (tile * (1 - self.overlap)))
        return [round(i * (length - tile) / steps) for i in range(steps + 1)]
