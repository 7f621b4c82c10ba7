"""Covers datasets/formats/labelme.py, datasets/formats/cvat.py, datasets/coco/run_lengths.py.

Objects whose pixels a tool states are read as these, inside and beyond the image.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pocketvision.core.errors import InputError
from pocketvision.datasets import detect_format, read_mask

HEIGHT, WIDTH = 40, 80
PIXELS = np.random.default_rng(3).random((12, 20)) < 0.5
LEFT, TOP = 30, 9


def _labelme_mask(root: Path, left: int, top: int) -> None:
    done, png = cv2.imencode(".png", PIXELS.astype(np.uint8))
    assert done
    corner = [left + PIXELS.shape[1] - 1, top + PIXELS.shape[0] - 1]
    shape = {"label": "cat", "points": [[left, top], corner], "shape_type": "mask",
             "mask": base64.b64encode(png.tobytes()).decode()}  # fmt: skip
    (root / "a.json").write_text(json.dumps({"shapes": [shape], "imagePath": "a.jpg"}))


def _cvat_mask(root: Path, left: int, top: int) -> None:
    flat = np.concatenate([[False], PIXELS.ravel()])
    edges = np.flatnonzero(flat[1:] != flat[:-1])
    counts = ", ".join(map(str, np.diff(edges, prepend=0, append=PIXELS.size)))
    sides = f'left="{left}" top="{top}" width="{PIXELS.shape[1]}" height="{PIXELS.shape[0]}"'
    mask = f'<mask label="cat" rle="{counts}" {sides}/>'
    text = f'<annotations><image name="a.jpg" width="{WIDTH}" height="{HEIGHT}">{mask}</image></annotations>'
    (root / "annotations.xml").write_text(text)


@pytest.mark.parametrize("write", [_labelme_mask, _cvat_mask])
@pytest.mark.parametrize(("left", "top"), [(LEFT, TOP), (-3, 33), (70, -5)])
def test_pixels_are_read_as_pixels(
    write: Callable[[Path, int, int], None], left: int, top: int, tmp_path: Path, write_image: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("POCKETVISION_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "set"
    root.mkdir()
    write_image(root / "a.jpg", HEIGHT, WIDTH)
    write(root, left, top)
    wide = np.zeros((3 * HEIGHT, 3 * WIDTH), dtype=np.uint8)
    y, x = top + HEIGHT, left + WIDTH
    wide[y : y + PIXELS.shape[0], x : x + PIXELS.shape[1]] = PIXELS
    records = detect_format(root, "segmentation").read("all")
    (file,) = records.mask_paths
    assert np.array_equal(records.to_classes(read_mask(file), file), wide[HEIGHT:-HEIGHT, WIDTH:-WIDTH])
    (box,) = detect_format(root, "detection").read("all").boxes.tolist()
    right, bottom = min(left + PIXELS.shape[1], WIDTH), min(top + PIXELS.shape[0], HEIGHT)
    assert box == [max(left, 0), max(top, 0), right, bottom]


@pytest.mark.parametrize(
    "mask",
    ['rle="5" left="0" top="0" width="2" height="3"', 'rle="6" left="1e300" top="0" width="2" height="3"',
     'rle="-1,7" left="0" top="0" width="2" height="3"', 'rle="" left="0" top="0" width="2" height="3"',
     'rle="1.5,4.5" left="0" top="0" width="2" height="3"'],
)  # fmt: skip
def test_broken_runs_are_an_error(mask: str, tmp_path: Path, write_image: Any) -> None:
    write_image(tmp_path / "a.jpg", HEIGHT, WIDTH)
    text = f'<annotations><image name="a.jpg"><mask label="cat" {mask}/></image></annotations>'
    (tmp_path / "annotations.xml").write_text(text)
    with pytest.raises(InputError, match="mask 1 has text or nothing where the numbers of its shape belong"):
        detect_format(tmp_path, "detection").read("all")
