"""benchmarks/drawn_streets.py: boxes and maps that are of the same things, and that the readers read."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from pocketvision.datasets import detect_format
from pocketvision.datasets.format_modules import data_module_of, training_records

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def streets(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(BENCHMARKS)
    yield importlib.import_module("drawn_streets")
    sys.modules.pop("drawn_streets", None)


def test_a_box_holds_what_the_map_calls_it(streets: ModuleType) -> None:
    shares = []
    for number in range(8):
        street = streets.drawn(number)
        pixels, mask = streets.finished(street)
        assert pixels.shape == (*mask.shape, 3) and {0, 1, 3, 4} <= set(np.unique(mask).tolist())
        for name, (left, top, width, height) in street.boxes:
            rows = slice(max(0, round(top)), round(top + height))
            inside = mask[rows, max(0, round(left)) : round(left + width)]
            shares.append((inside == streets.MAP.index(name)).mean())
    assert len(shares) > 16 and np.median(shares) > 0.5


def test_a_number_is_always_the_same_street(streets: ModuleType) -> None:
    (pixels, mask), (again, same) = (streets.finished(streets.drawn(7)) for _ in range(2))
    assert np.array_equal(pixels, again) and np.array_equal(mask, same)
    other, _ = streets.finished(streets.drawn(8))
    assert not np.array_equal(pixels, other)


def test_both_data_sets_are_read(
    streets: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["drawn_streets.py", str(tmp_path), "--train", "3", "--val", "2"])
    streets.main()
    assert len(list((tmp_path / "shown").glob("*.png"))) == 4
    for place, task, names in (("boxes", "detection", streets.BOXES), ("map", "segmentation", streets.MAP)):
        found = detect_format(tmp_path / place)
        assert found.task == task
        train, val = training_records(data_module_of(found)(num_workers=0))
        assert (len(train), len(val)) == (3, 2) and train.class_names == names
