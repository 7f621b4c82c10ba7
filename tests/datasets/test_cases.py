"""Covers datasets/readers/detect_format.py: data sets as labeling tools and people leave them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pocketvision.core.errors import InputError
from pocketvision.core.resize import Resize
from pocketvision.datasets import SegmentationDataset, detect_format
from pocketvision.datasets.records.annotations import DetectionRecords, SegmentationRecords

BESIDE = Path(__file__).resolve().parents[3] / "shared"
CASES = Path(os.environ.get("POCKETVISION_SHARED", BESIDE)) / "cases" / "data"
NAMES = sorted(path.name for path in CASES.iterdir()) if CASES.is_dir() else []

pytestmark = pytest.mark.skipif(not NAMES, reason=f"there is no {CASES}")


def boxes(records: list[DetectionRecords]) -> dict[str, list[tuple[Any, ...]]]:
    """Image name -> class and corners, sorted; the same image in two splits counts once."""
    found: dict[str, list[tuple[Any, ...]]] = {}
    for part in records:
        for i, path in enumerate(part.image_paths):
            own = part.boxes_of(i)
            labels = [part.class_names[label] for label in part.labels[own]]
            found[Path(path).name] = sorted(zip(labels, *part.boxes[own].T.tolist(), strict=True))
    return found


def masks(records: list[SegmentationRecords]) -> dict[str, Any]:
    found = {}
    for part in records:
        samples = SegmentationDataset(part, Resize((64, 64)))
        found |= {Path(path).name: samples._read(i)[1] for i, path in enumerate(part.image_paths)}
    return found


@pytest.mark.parametrize("name", NAMES or ["none"])
def test_it_is_read_rightly_or_refused_in_a_sentence(name: str) -> None:
    truth = json.loads((CASES / name / "truth.json").read_text(encoding="utf-8"))
    place = CASES / name / "data" / truth.get("give", "")
    is_masks = "mask_ids" in truth
    try:
        found = detect_format(place, "segmentation" if is_masks else None)
        records: list[Any] = [found.read(split) for split in found.splits]
        pixels = masks(records) if is_masks else {}
    except InputError as error:
        assert str(CASES) in str(error) and str(error).endswith("."), "a sentence names the place"
        return
    if is_masks:
        assert pixels.keys() == truth["boxes"].keys()
        for image, mask in pixels.items():
            wanted = np.zeros_like(mask)
            for label, left, top, right, bottom in truth["boxes"][image]:
                wanted[top:bottom, left:right] = truth["mask_ids"][label]
            assert (mask != wanted).mean() <= 0.02, image
        return
    read = boxes(records)
    assert read.keys() == truth["boxes"].keys()
    for image, rows in truth["boxes"].items():
        wanted_rows = sorted(tuple(row) for row in rows)
        assert [row[0] for row in read[image]] == [row[0] for row in wanted_rows], image
        for row, expected in zip(read[image], wanted_rows, strict=True):
            assert row[1:] == pytest.approx(expected[1:], abs=1.01), image
