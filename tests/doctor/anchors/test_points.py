"""Cells that boxes hold or share, counted again with every cell's center."""

from __future__ import annotations

import numpy as np
import pytest

from pocketvision.core.resize import Resize
from pocketvision.doctor.anchors.points import report_points
from pocketvision.doctor.anchors.reach import ImageBoxes, resize_boxes


@pytest.mark.parametrize(("size", "stride"), [((64, 96), 8), ((50, 70), 16)])
def test_every_center_is_tried(size: tuple[int, int], stride: int) -> None:
    rng = np.random.default_rng(stride)
    low = rng.uniform(-4, 120, (150, 2))
    boxes = np.concatenate((low, low + rng.uniform(0.5, 20, (150, 2))), axis=1)
    found = ImageBoxes(boxes, rng.integers(0, 3, 150), np.array([[128, 128], [100, 150], [128, 64]]))
    resize = Resize(size)
    report = report_points(found, resize, stride)
    rows, columns = -(-size[0] // stride), -(-size[1] // stride)
    x, y = np.meshgrid((np.arange(columns) + 0.5) / columns, (np.arange(rows) + 0.5) / rows)
    centers = np.stack((x * size[1], y * size[0]), axis=-1).reshape(-1, 2)
    empty, nearest = 0, []
    for (left, top, right, bottom), owner in zip(resize_boxes(found, resize), found.owners, strict=True):
        inside = (centers > (left, top)) & (centers < (right, bottom))
        empty += not inside.all(axis=1).any()
        distance = np.square(centers - ((left + right) / 2, (top + bottom) / 2)).sum(axis=1)
        nearest.append((int(owner), int(distance.argmin())))
    crowded = sum(nearest.count(place) > 1 for place in nearest)
    assert 0 < empty < 150 and 0 < crowded < 150
    assert (report.num_boxes, report.num_empty, report.num_crowded) == (150, empty, crowded)
    assert report.as_row()["image_size"] == list(size)
