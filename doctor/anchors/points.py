"""What the points of a dense head can hold: boxes smaller than a cell, and boxes that crowd one."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pocketvision.core.resize import Resize
from pocketvision.core.structures import Size
from pocketvision.doctor.anchors.reach import ImageBoxes, resize_boxes

STRIDE = 8
"""Of the finest map of dense heads."""


@dataclass(frozen=True)
class PointReport:
    """Of ``num_boxes`` those that hold no cell's center, and those that share their nearest with another."""

    image_size: Size
    stride: int
    num_boxes: int
    num_empty: int
    num_crowded: int

    def as_row(self) -> dict[str, Any]:
        """What the JSON report holds."""
        return {**asdict(self), "image_size": list(self.image_size)}


def report_points(found: ImageBoxes, resize: Resize, stride: int = STRIDE) -> PointReport:
    """Look at the cells of one map, of which a dense head has the center of each for a point.

    A box that holds no center is learned by the nearest one. Two boxes of an image that are nearest to the
    same center can't both have it: where they hold no others, one of them is not learned.
    """
    rows, columns = (-(-side // stride) for side in resize.image_size)
    cell = np.array([resize.image_size[1] / columns, resize.image_size[0] / rows])
    boxes = resize_boxes(found, resize)
    low, high = boxes[:, :2] / cell - 0.5, boxes[:, 2:] / cell - 0.5  # in cells, centers at whole numbers
    last = np.array([columns, rows]) - 1
    first_inside, last_inside = np.maximum(np.floor(low) + 1, 0), np.minimum(np.ceil(high) - 1, last)
    is_empty = (first_inside > last_inside).any(axis=1)
    nearest = np.rint((low + high) / 2).clip(0, last).astype(np.int64)
    place = (found.owners * rows + nearest[:, 1]) * columns + nearest[:, 0]
    _, which, counts = np.unique(place, return_inverse=True, return_counts=True)
    is_crowded = counts[which] > 1
    return PointReport(resize.image_size, stride, len(boxes), int(is_empty.sum()), int(is_crowded.sum()))
