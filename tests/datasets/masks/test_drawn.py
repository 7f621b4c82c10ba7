"""Masks that are drawn once: kept with the image that they are of, whatever happens to the others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pocketvision.datasets import detect_format, read_mask
from pocketvision.datasets.images.read import match_mask
from pocketvision.datasets.records.kinds import OUTLINE_IS_BOX

HEIGHT, WIDTH = 40, 60
LEFT = {"a": 5, "b": 25, "c": 45}
"""Where each picture's object begins; it is 10 pixels wide and high."""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("POCKETVISION_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def yolo(root: Path) -> None:
    (root / "classes.txt").write_text("cat\n")
    for name in ("a", "c"):
        left, right = LEFT[name] / WIDTH, (LEFT[name] + 10) / WIDTH
        corners = [left, 0.25, right, 0.25, right, 0.5, left, 0.5]
        (root / f"{name}.txt").write_text(" ".join(map(str, (0, *corners))))


def via(root: Path) -> None:
    rows = {}
    for name in ("a", "b", "c"):
        x, y = [LEFT[name], LEFT[name] + 10, LEFT[name] + 10, LEFT[name]], [10, 10, 20, 20]
        shape = {"name": "polygon", "all_points_x": x, "all_points_y": y}
        regions = [{"shape_attributes": shape, "region_attributes": {"type": "cat"}}]
        rows[name] = {"filename": f"{name}.png", "regions": regions}
    (root / "via.json").write_text(json.dumps(rows))


def left_ends(root: Path) -> dict[str, int | None]:
    """Picture -> the first column of its object."""
    records = detect_format(root, "segmentation").read("all")
    found: dict[str, int | None] = {}
    for image, file in zip(records.image_paths, records.mask_paths, strict=True):
        mask = match_mask(read_mask(file), image)
        columns = np.flatnonzero(mask.any(axis=0))
        found[Path(image).stem] = int(columns[0]) if len(columns) else None
    return found


def test_a_background_image_that_comes_later_moves_no_mask(tmp_path: Path, write_image: Any) -> None:
    root = tmp_path / "set"
    for name in ("a", "c"):
        write_image(root / f"{name}.png", HEIGHT, WIDTH)
    yolo(root)
    assert left_ends(root) == {"a": 5, "c": 45}
    write_image(root / "b.png", HEIGHT, WIDTH)
    assert left_ends(root) == {"a": 5, "b": None, "c": 45}
    (root / "a.png").rename(tmp_path / "a.png")
    (root / "a.txt").unlink()
    assert left_ends(root) == {"b": None, "c": 45}


def test_pictures_that_are_made_smaller_get_masks_of_their_size(tmp_path: Path, write_image: Any) -> None:
    root = tmp_path / "set"
    for name in LEFT:
        write_image(root / f"{name}.png", HEIGHT, WIDTH)
    via(root)
    assert left_ends(root) == LEFT
    for name in LEFT:
        Image.new("RGB", (WIDTH + 20, HEIGHT)).save(root / f"{name}.png")
    records = detect_format(root, "segmentation").read("all")
    assert {read_mask(file).shape for file in records.mask_paths} == {(HEIGHT, WIDTH + 20)}


def test_notes_of_all_are_told_after_an_interrupted_drawing(tmp_path: Path, write_image: Any) -> None:
    root = tmp_path / "set"
    for name in LEFT:
        write_image(root / f"{name}.png", HEIGHT, WIDTH)
    (root / "classes.txt").write_text("cat\n")
    for name in LEFT:
        (root / f"{name}.txt").write_text("0 0.2 0.2 0.5 0.2 0.5 0.5\n0 0.5 0.5 0.2 0.2\n")
    told = [(note.kind, note.count) for note in detect_format(root, "segmentation").read("all").notes]
    assert (OUTLINE_IS_BOX, 3) in told
    (notes,) = (tmp_path / "cache").rglob("notes.json")
    notes.unlink()
    next(notes.parent.glob("*.png")).unlink()
    again = detect_format(root, "segmentation").read("all").notes
    assert [(note.kind, note.count) for note in again] == told


def test_a_box_without_end_fills_its_image(tmp_path: Path, write_image: Any) -> None:
    root = tmp_path / "set"
    write_image(root / "a.png", HEIGHT, WIDTH)
    shapes = [
        {"label": "cat", "points": [[2, 2], [9, 2], [9, 9]], "shape_type": "polygon"},
        {"label": "dog", "points": [[30, 10], [1e10, 1e10]], "shape_type": "rectangle"},
    ]
    (root / "a.json").write_text(json.dumps({"shapes": shapes, "imagePath": "a.png"}))
    records = detect_format(root, "segmentation").read("all")
    mask = read_mask(records.mask_paths[0])
    assert mask[10:, 30:].all() and not mask[:10, 30:].any()
    assert (mask[10:, 30:] == records.class_names.index("dog")).all()
