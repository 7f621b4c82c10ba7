"""Whether boxes are so small in their pictures that a model should see these in tiles, and in which."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pocketvision.core.structures import Size
from pocketvision.doctor.anchors.reach import ImageBoxes

SMALL, GOOD = 12, 24
"""Pixels of the input a side, as the root of an area: pictures are shown in tiles where a tenth of the boxes
is below the first, and in the tiles all but a tenth have the second."""
_SMALLEST, _STEP = 0.1, 32
_LARGE, _LARGEST, _MAX_SHARE = 1.5, 0.95, 0.5
"""A tile is 1.5 times as long as all but a twentieth of the boxes, and half of the usual picture at most."""


@dataclass(frozen=True)
class TileAdvice:
    """Square tiles of ``side`` pixels.

    The smallest tenth of the boxes has less than ``smallest`` pixels a side in an input of ``image_size``.
    """

    side: int
    smallest: float
    image_size: Size

    @property
    def tile(self) -> Size:
        return self.side, self.side

    def as_row(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)

    def reason(self) -> str:
        """Why, in words."""
        height, width = self.image_size
        return (
            f"a tenth of the boxes has less than {self.smallest:.0f} pixels a side where a whole picture is "
            f"shown at {width}x{height}"
        )


def suggest_tiles(found: ImageBoxes, image_size: Size) -> TileAdvice | None:
    """Tiles for the boxes of ``found``; None where whole pictures do, or tiles would cut what is large.

    Tiles are never enlarged: pixels that a picture does not have teach nothing.
    """
    if not len(found.boxes):
        return None
    sides = found.boxes[:, 2:] - found.boxes[:, :2]
    roots, sizes = np.sqrt(sides.prod(axis=1)), found.sizes.astype(np.float64)
    shrunk = np.sqrt((np.array(image_size) / sizes).prod(axis=1))
    smallest = float(np.quantile(roots * shrunk[found.owners], _SMALLEST))
    if smallest >= SMALL:
        return None
    input_side = max(image_size)
    wanted = input_side * float(np.quantile(roots, _SMALLEST)) / GOOD
    least = max(input_side, _LARGE * float(np.quantile(sides.max(axis=1), _LARGEST)))
    side = round(max(wanted, least) / _STEP) * _STEP
    if side**2 > _MAX_SHARE * float(np.median(sizes.prod(axis=1))):
        return None
    return TileAdvice(side, smallest, image_size)
