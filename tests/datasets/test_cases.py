"""Covers datasets/formats/detect.py: sets as people leave them are read rightly or refused."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pocketvision.core.errors import InputError
from pocketvision.datasets import DetectionRecords, SegmentationRecords, detect_format, read_mask
from pocketvision.datasets.images.read import match_mask, read_size
from pocketvision.doctor.check import Plan, examine
from pocketvision.doctor.fixes.copy import write_fixed
from pocketvision.tasks.own.look import look_at

_BESIDE = Path(__file__).resolve().parents[3] / "shared"
CASES = Path(os.environ.get("POCKETVISION_SHARED", _BESIDE)) / "cases" / "data"
NAMES = sorted(path.name for path in CASES.iterdir()) if CASES.is_dir() else []
TOLERANCE = 0.05
"""Pixels: files state fractions with six digits."""
STRAY = 0.001
"""Share of the pixels of a mask that noise may have changed."""

REFUSED = {"8B_mask_off_by_one", "A0_zip", "A7_heic"}
"""No reading can be right: masks of another size than their image, an archive, pictures in HEIC."""

Boxes = dict[str, list[tuple[str, list[float]]]]


@dataclass(frozen=True)
class Case:
    """One set, and what is in its pictures."""

    name: str

    @cached_property
    def truth(self) -> dict[str, Any]:
        return json.loads((CASES / self.name / "truth.json").read_text())

    @property
    def given(self) -> Path:
        """What a user gives."""
        folder = CASES / self.name / "data"
        return folder / self.truth["give"] if "give" in self.truth else folder

    @property
    def tasks(self) -> list[str]:
        is_mask = "_mask_" in self.name
        return [*([] if is_mask else ["detection"]), *(["segmentation"] if "mask_ids" in self.truth else [])]


def boxes_of(found: Any) -> Boxes:
    """Image name -> (class, box) of all splits."""
    boxes: Boxes = {}
    for split in found.splits:
        records = found.read(split)
        assert isinstance(records, DetectionRecords)
        for i, path in enumerate(records.image_paths):
            assert Path(path).is_file() and tuple(records.sizes[i]) == read_size(path)
            owned = records.boxes_of(i)
            assert not records.crowd[owned].any(), "crowds are not trained on"
            rows = zip(records.labels[owned].tolist(), records.boxes[owned].tolist(), strict=True)
            boxes[Path(path).name] = [(str(records.class_names[label]), box) for label, box in rows]
    return boxes


def differs(case: Case, found: Any) -> str:
    """What is not as the truth says; empty if nothing is."""
    expected = {name: [(c, box) for c, *box in rows] for name, rows in case.truth["boxes"].items()}
    own = boxes_of(found)
    if own.keys() != expected.keys():
        return f"images {sorted(own.keys() ^ expected.keys())}"
    for name, rows in expected.items():
        got = sorted(own[name])
        if [c for c, _ in got] != sorted(c for c, _ in rows):
            return f"{name} has the classes {[c for c, _ in got]}"
        for (_, box), (_, right) in zip(got, sorted(rows), strict=True):
            if not np.allclose(box, right, atol=TOLERANCE):
                return f"{name} has the box {box} instead of {right}"
    classes = case.truth.get("classes")
    names = found.read(found.splits[0]).class_names
    return f"the classes are {names}" if classes is not None and list(names) != classes else ""


def mask_differs(case: Case, found: Any) -> str:
    ids, boxes, seen = case.truth["mask_ids"], case.truth["boxes"], set()
    for split in found.splits:
        records = found.read(split)
        assert isinstance(records, SegmentationRecords)
        for image, file in zip(records.image_paths, records.mask_paths, strict=True):
            size, name = read_size(image), Path(image).name
            if name not in boxes:
                return f"{name} is read too"
            expected = np.zeros(size, dtype=np.uint8)
            for label, x1, y1, x2, y2 in boxes[name]:
                expected[y1:y2, x1:x2] = ids[label]
            mask = records.to_classes(match_mask(read_mask(file), image), file)
            if mask.shape != size or (mask != expected).mean() > STRAY:
                return f"{file}: {mask.shape} {size}, values {np.unique(mask).tolist()}"
            seen.add(name)
    return "" if seen == boxes.keys() else f"images {sorted(seen ^ boxes.keys())}"


def outcome(case: Case, task: str) -> str:
    """``right``, ``refused: SENTENCE`` or ``wrong: WHY``."""
    try:
        found = detect_format(case.given, task)
        difference = differs(case, found) if task == "detection" else mask_differs(case, found)
    except InputError as error:
        return f"refused: {error}"
    return f"wrong: {difference}" if difference else "right"


def read_as_training(given: Path, task: str) -> str:
    """Why training refuses the data; empty if it takes them."""
    try:
        look_at(given, task, None, ())
    except InputError as error:
        return str(error)
    return ""


pytestmark = pytest.mark.skipif(not NAMES, reason=f"{CASES} is not there (set POCKETVISION_SHARED)")
EVERY = [(name, task) for name in NAMES for task in Case(name).tasks] or [("none", "none")]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POCKETVISION_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize(("name", "task"), EVERY)
def test_read_exactly_or_refused_in_one_sentence(name: str, task: str) -> None:
    result = outcome(Case(name), task)
    assert not result.startswith("wrong"), result
    assert (result != "right") == (name in REFUSED), result
    assert result.count("\n") == 0 and (result == "right" or result.endswith("."))
    assert result == "right" or f"/{name}/" in result, "a sentence names the place"


@pytest.mark.parametrize(("name", "task"), EVERY)
def test_the_doctor_agrees_with_training_and_its_copy_trains(name: str, task: str, tmp_path: Path) -> None:
    case = Case(name)
    refused = read_as_training(case.given, task)
    try:
        found = detect_format(case.given, task)
    except InputError as error:
        assert refused == str(error), "both look in the same way"
        return
    examination = examine(found, Plan())
    assert bool(examination.report.findings.num("error")) == bool(refused), refused
    try:
        lines = write_fixed(examination, tmp_path / "copy")
    except InputError as error:
        assert refused and "nothing to write" in str(error)
        return
    assert not read_as_training(tmp_path / "copy", task)
    if outcome(case, task) == "right":
        copy = detect_format(tmp_path / "copy", task)
        lost = differs(case, copy) if task == "detection" else mask_differs(case, copy)
        assert not lost, lines
