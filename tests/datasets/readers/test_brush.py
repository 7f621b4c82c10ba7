"""Label Studio's brush and turned rectangles, as its own packages write them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pocketvision.datasets import detect_format, read_mask
from pocketvision.datasets.readers.brush import decode_brush

MASK = np.zeros((7, 11), np.bool_)
MASK[1:5, 2:9], MASK[2:4, 4:6], MASK[6, 0] = True, False, True
PACKED = [0, 0, 1, 52, 57, 27, 254, 51, 0, 195, 127, 247, 192, 39, 255, 156, 2, 223, 253, 240, 9, 255, 231, 0,
          183, 255, 124, 3, 13, 255, 227, 48, 8, 255, 241, 56, 0]  # fmt: skip
"""MASK by ``encode_rle`` of label-studio-sdk 2.1.2."""


def bits_of(values: list[tuple[int, int]]) -> list[int]:
    """(value, number of bits) -> bytes."""
    text = "".join(f"{value:0{count}b}" for value, count in values)
    text += "0" * (-len(text) % 8)
    return [int(text[i : i + 8], 2) for i in range(0, len(text), 8)]


def write(root: Path, value: dict[str, Any], size: tuple[int, int]) -> None:
    stated = {"original_width": size[1], "original_height": size[0], "value": value, "from_name": "label"}
    task = {"data": {"image": "a.png"}, "annotations": [{"completed_by": 1, "result": [stated]}]}
    (root / "project.json").write_text(json.dumps([task]))


def test_what_label_studio_packs() -> None:
    found = decode_brush(PACKED, (7, 11))
    assert found is not None
    np.testing.assert_array_equal(found, MASK)


def test_single_values_and_runs_of_all_lengths() -> None:
    mask = np.random.default_rng(0).random((5, 6)) < 0.5
    header = [(5 * 6 * 4, 32), (7, 5), (2, 4), (3, 4), (7, 4), (15, 4)]
    rows = [(value, 8) for inside in mask.ravel().tolist() for value in (9, 9, 9, 255 * inside)]
    found = decode_brush(bits_of([*header, (0, 1), (2, 2), (len(rows) - 1, 8), *rows]), (5, 6))
    assert found is not None
    np.testing.assert_array_equal(found, mask)
    whole = decode_brush(bits_of([*header, (1, 1), (3, 2), (119, 16), (1, 8)]), (5, 6))
    assert whole is not None and whole.all()


@pytest.mark.parametrize(
    "packed", [None, "rle", [], [1, 2], PACKED[:20], [*PACKED[:4], 255], [300, *PACKED], [None], [-1], [[0]]]
)
def test_what_is_broken_is_none(packed: Any) -> None:
    assert decode_brush(packed, (7, 11)) is None
    assert decode_brush(PACKED, (11, 8)) is None and decode_brush(PACKED, (0, 5)) is None


def test_brushed_objects_are_masks_and_boxes(tmp_path: Path, write_image: Any) -> None:
    write_image(tmp_path / "a.png", 7, 11)
    write(tmp_path, {"format": "rle", "rle": PACKED, "brushlabels": ["owl"]}, (7, 11))
    boxes: Any = detect_format(tmp_path, "detection").read("all")
    np.testing.assert_allclose(boxes.boxes, [[0, 1, 9, 7]], atol=1e-5)
    masks: Any = detect_format(tmp_path, "segmentation").read("all")
    np.testing.assert_array_equal(masks.lookup[read_mask(masks.mask_paths[0])], MASK)
    assert masks.class_names == ("background", "owl")


def test_a_turned_rectangle_of_a_wide_picture(tmp_path: Path, write_image: Any) -> None:
    write_image(tmp_path / "a.png", 40, 80)
    # 20 x 10 pixels, turned by 90 degrees around (50, 5).
    value = {"x": 62.5, "y": 12.5, "width": 25, "height": 25, "rotation": 90, "rectanglelabels": ["owl"]}
    write(tmp_path, value, (40, 80))
    records: Any = detect_format(tmp_path, "detection").read("all")
    np.testing.assert_allclose(records.boxes, [[40, 5, 50, 25]], atol=1e-4)
