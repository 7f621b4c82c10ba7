"""Covers doctor/check.py, doctor/fixes/copy.py, datasets/format_modules.py.

Whatever is done to a data set: no errors means that training takes it, and the cleaned copy trains and holds
what the report says. ``POCKETVISION_FAULTS=1000`` tries as many of each format.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from pocketvision.core.errors import InputError
from pocketvision.datasets import detect_format
from pocketvision.doctor.check import Plan, examine
from pocketvision.doctor.fixes.copy import write_fixed
from pocketvision.tasks.own.look import look_at

pytestmark = pytest.mark.slow

FORMATS = ("coco", "voc", "yolo", "csv", "mask_folder", "image_folder")
EXAMPLES = int(os.environ.get("POCKETVISION_FAULTS", "30"))
SOME = settings(
    max_examples=EXAMPLES, deadline=timedelta(seconds=20), database=None,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
TEXTS = (".json", ".xml", ".txt", ".csv", ".yaml")
VALUES = ("", "0", "-5", "nan", "1e999", "x", "0.5", "99999", "7" * 5000, "é", "null", '"', "..", "[" * 3000)
NAMES = (
    "é 1.jpg",
    "X.PNG",
    "._a.jpg",
    "train.json",
    "a.txt",
    "../b.jpg",
    "sub/0.jpg",
    "classes.txt",
    "0.jpeg",
)
Fault = tuple[str, int, int]


def files(root: Path, suffixes: Iterable[str] = ()) -> list[Path]:
    every = sorted(path for path in root.rglob("*") if path.is_file())
    return [path for path in every if not suffixes or path.suffix.lower() in suffixes]


def choose(found: list[Path], number: int) -> Path | None:
    return found[number % len(found)] if found else None


def in_text(root: Path, a: int, b: int, pattern: str, value: str) -> None:
    """Put ``value`` in place of a match of ``pattern`` in a text file."""
    path = choose(files(root, TEXTS), a)
    if path is None:
        return
    text = path.read_bytes().decode("utf-8", "surrogateescape")
    found = list(re.finditer(pattern, text))
    if found:
        start, end = found[b % len(found)].span()
        path.write_bytes((text[:start] + value + text[end:]).encode("utf-8", "surrogateescape"))


def in_bytes(root: Path, a: int, b: int, change: Callable[[bytes, int], bytes]) -> None:
    path = choose(files(root), a)
    if path is not None:
        data = path.read_bytes()
        path.write_bytes(change(data, b % (len(data) + 1)))


def moved(root: Path, a: int, b: int, move: Callable[[Path, Path], Any]) -> None:
    path = choose(files(root), a)
    if path is not None:
        target = path.parent / NAMES[b % len(NAMES)]
        if root in target.resolve().parents and not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            move(path, target)


def repainted(root: Path, a: int, b: int) -> None:
    """Another size, mode or orientation."""
    path = choose(files(root, (".jpg", ".png")), a)
    if path is None:
        return
    generator = np.random.default_rng(b)
    shape = ((48, 64, 3), (24, 32, 3), (48, 64), (48, 64, 4), (1, 1))[b % 5]
    deep = b % 7 == 0 and len(shape) == 2
    pixels = generator.integers(0, 1 << 16 if deep else 256, shape).astype(np.uint16 if deep else np.uint8)
    exif = Image.Exif()
    if b % 3 == 0:
        exif[0x0112] = 6
    Image.fromarray(pixels).save(path, "PNG", exif=exif)


FAULTS: dict[str, Callable[[Path, int, int], None]] = {
    "remove": lambda root, a, b: path.unlink() if (path := choose(files(root), a)) else None,
    "cut": lambda root, a, b: in_bytes(root, a, b, lambda data, i: data[:i]),
    "noise": lambda root, a, b: in_bytes(root, a, b, lambda data, i: data[:i] + b"\xff\x00{" + data[i + 3 :]),
    "repeat": lambda root, a, b: in_bytes(root, a, b, lambda data, i: data + data[i:]),
    "number": lambda root, a, b: in_text(root, a, b, r"-?\d+(\.\d+)?", VALUES[b % len(VALUES)]),
    "word": lambda root, a, b: in_text(root, a, b, r"[A-Za-z]+", VALUES[a % len(VALUES)]),
    "line": lambda root, a, b: in_text(root, a, b, r"[^\n]*\n", ""),
    "move": lambda root, a, b: moved(root, a, b, shutil.move),
    "copy": lambda root, a, b: moved(root, a, b, shutil.copy),
    "paint": repainted,
}
PLANS = st.lists(
    st.tuples(st.sampled_from(sorted(FAULTS)), st.integers(0, 9999), st.integers(0, 9999)),
    min_size=1,
    max_size=3,
)


def refusal(root: Path) -> str:
    """Why training refuses the data; empty if it takes them."""
    try:
        look_at(root, None, None, ())
    except InputError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", FORMATS)
def test_no_errors_means_that_training_takes_it(
    name: str, clean: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POCKETVISION_CACHE", str(tmp_path / "cache"))
    original = clean(name, 3)

    @SOME
    @given(PLANS)
    def check(plan: list[Fault]) -> None:
        root, copy = tmp_path / "broken", tmp_path / "copy"
        for folder in (root, copy):
            shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(original, root)
        for fault, a, b in plan:
            FAULTS[fault](root, a, b)
        hold(root, copy)

    check()


def hold(root: Path, copy: Path) -> None:
    try:
        found = detect_format(root)
    except InputError as error:
        assert refusal(root) and "\n" not in str(error)
        return
    examination = examine(found, Plan())
    if not examination.report.findings.num("error"):
        assert not refusal(root)
    try:
        lines = write_fixed(examination, copy)
    except InputError as error:
        assert "nothing to write" in str(error) or "division" in str(error), error
        assert not copy.exists()
        return
    assert not refusal(copy)
    for split, records in examination.readings.items():
        assert any(line.startswith(f"{split}: ") and f" of {len(records)} images" in line for line in lines)
