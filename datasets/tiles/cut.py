"""The boxes of an image in its tiles: cut at the borders, kept by how much of them is seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pocketvision.core.structures import Window
from pocketvision.datasets.records.annotations import Boxes

MIN_VISIBLE = 0.5
"""The share of a box's area that a tile has to show, so that the box is learned there."""


class CutBoxes(NamedTuple):
    """The boxes (G, 4) of an image in each of T tiles.

    Attributes:
        boxes: (T, G, 4) xyxy pixels of the tile, cut at its borders; without area where it shows none.
        kept: (T, G) which are learned: ``MIN_VISIBLE`` of their area is seen, or, where no tile shows
            that much, as much as in any tile. So each box with an area is learned in some tile.
        ignored: (T, G) which are seen but not learned: neither an object nor background.
    """

    boxes: Boxes
    kept: npt.NDArray[np.bool_]
    ignored: npt.NDArray[np.bool_]


def cut_boxes(boxes: Boxes, windows: Sequence[Window]) -> CutBoxes:
    """Cut boxes (G, 4), xyxy pixels inside the image, at the borders of its tiles."""
    tops, lefts, heights, widths = np.array(windows, dtype=np.float64).reshape(-1, 4, 1).swapaxes(0, 1)
    left_top = np.concatenate((lefts, tops), axis=1)[:, None]
    sides = np.concatenate((widths, heights), axis=1)[:, None]
    moved = boxes.astype(np.float64)[None] - np.concatenate((left_top, left_top), axis=2)
    cut = np.clip(moved, 0, np.concatenate((sides, sides), axis=2))
    areas = (boxes[:, 2:].astype(np.float64) - boxes[:, :2]).prod(axis=1)
    seen = (cut[..., 2:] - cut[..., :2]).prod(axis=2)
    most = seen.max(axis=0, initial=0)
    kept = (seen > 0) & (seen >= np.minimum(MIN_VISIBLE * areas, most))
    return CutBoxes(cut.astype(np.float32), kept, (seen > 0) & ~kept)
