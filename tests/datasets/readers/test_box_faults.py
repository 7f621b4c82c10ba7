"""Boxes are mended, left out and told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pocketvision.core.errors import InputError
from pocketvision.datasets.readers.box_faults import mend_boxes, repeated_boxes, tell_twice
from pocketvision.datasets.records import kinds
from pocketvision.datasets.records.notes import Notes

SIZES = np.array([[40, 60], [40, 60]], dtype=np.int32)
PATHS = ["a.jpg", "b.jpg"]


def place(i: int) -> tuple[Path, str]:
    return Path("x.json"), f"annotation {i}"


def mend(rows: list[Any], convention: str = "xyxy", notes: Notes | None = None) -> tuple[Any, Any, Notes]:
    told = notes or Notes()
    owners = np.arange(len(rows)) % 2
    boxes, keep = mend_boxes(np.array(rows, float), owners, SIZES, PATHS, convention, place, told)
    return boxes.tolist(), keep.tolist(), told


def test_good_boxes_stay_as_they_are() -> None:
    rows = [[1, 2, 30, 20.5], [0, 0, 60, 40], [59.5, 39.5, 60.5, 40.4]]
    boxes, keep, notes = mend(rows)
    assert boxes == [rows[0], rows[1], [59.5, 39.5, 60, 40]] and all(keep) and notes.counts == {}


def test_each_fault_is_told_once() -> None:
    good = [[5, 5, 20, 20]] * 6
    rows = [*good, [30, 20, 10, 5], [50, 30, 70, 50], [5, 5, 5, 9], [70, 1, 80, 9]]
    boxes, keep, notes = mend(rows)
    assert boxes[6] == [10, 5, 30, 20] and boxes[7] == [50, 30, 60, 40]
    assert keep == [True] * 8 + [False] * 2
    wanted = {kinds.BOX_SWAPPED, kinds.BOX_OUTSIDE, kinds.BOX_WITHOUT_AREA, kinds.BOX_AWAY}
    assert notes.counts == dict.fromkeys(wanted, 1)
    (told,) = notes.kept[kinds.BOX_SWAPPED]
    assert told.where == "annotation 6" and told.images == ("a.jpg",)


def test_vocs_first_pixel_is_one_also_where_corners_are_swapped() -> None:
    boxes, _, _ = mend([[20, 13, 40, 38]] * 9 + [[29, 3, 3, 8]], "voc")
    assert boxes[9] == [2, 3, 30, 8]


def test_another_convention_is_an_error_and_shares_are_read() -> None:
    boxes, _, notes = mend([[0.1, 0.2, 0.5, 0.5], [0.2, 0.2, 0.9, 1.0]], "xyxy")
    assert np.allclose(boxes, [[6, 8, 30, 20], [12, 8, 54, 40]]) and notes.counts == {kinds.BOX_RELATIVE: 2}
    corners = np.array([[40, 30, 55, 39], [50, 5, 59, 39], [35, 25, 50, 38]] * 3, dtype=float)
    as_xywh = np.concatenate((corners[:, :2], corners[:, :2] + corners[:, 2:]), axis=1)
    with pytest.raises(InputError, match="lie inside their images only if"):
        mend(as_xywh.tolist(), "xywh")
    boxes, keep, _ = mend(as_xywh.tolist(), "xywh", Notes(strict=False))
    assert all(keep) and np.allclose(boxes, corners)


def test_repeated() -> None:
    boxes = np.array([[1, 2, 3, 4], [1, 2, 3, 4.001], [1, 2, 3, 4], [1, 2, 3, 5]], dtype=float)
    labels, owners = np.array([0, 0, 1, 0]), np.zeros(4, dtype=int)
    assert repeated_boxes(boxes, owners, labels).tolist() == [False, True, False, False]
    notes = Notes()
    tell_twice(boxes, owners, labels, np.array([True, True, True, True]), PATHS, place, notes)
    assert notes.counts == {kinds.BOX_TWICE: 1}
