"""Stretch or letterbox by the shapes of the pictures: what is advised, and that train --data does it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pocketvision.core.anchors import ExplicitAnchors
from pocketvision.core.resize import Resize
from pocketvision.datasets.formats.detect import detect_format
from pocketvision.datasets.records.annotations import DetectionRecords
from pocketvision.doctor.check import Plan, examine
from pocketvision.doctor.checks.shapes import ResizeAdvice, advise_masks
from pocketvision.doctor.report.text import report_text
from pocketvision.runs.folder import load_experiment
from pocketvision.tasks.own.fit_to_data import fit_anchors
from pocketvision.tasks.own.look import look_at, write_config

PORTRAIT, SQUARE, WIDE, STRIP = (64, 48), (64, 64), (48, 64), (40, 160)


def boxes(root: Path, sizes: list[tuple[int, int]]) -> Path:
    """YOLO's folders with a box a picture, of (height, width)."""
    for split in ("train", "val"):
        for folder in ("images", "labels"):
            (root / folder / split).mkdir(parents=True)
        for number, (height, width) in enumerate(sizes):
            Image.new("RGB", (width, height)).save(root / "images" / split / f"{number}.png")
            (root / "labels" / split / f"{number}.txt").write_text("0 0.5 0.5 0.4 0.4\n")
    (root / "classes.txt").write_text("thing\n")
    return root


def masks(root: Path, sizes: list[tuple[int, int]]) -> Path:
    for split in ("train", "val"):
        for folder in ("images", "masks"):
            (root / split / folder).mkdir(parents=True)
        for number, (height, width) in enumerate(sizes):
            name, mask = f"{number}.png", np.eye(height, width, dtype=np.uint8)
            Image.new("RGB", (width, height)).save(root / split / "images" / name)
            Image.fromarray(mask).save(root / split / "masks" / name)
    (root / "classes.txt").write_text("ground\nthing\n")
    return root


@pytest.mark.parametrize(
    ("sizes", "spread", "mode"),
    [
        ([STRIP] * 4, 1.0, "stretch"),
        ([PORTRAIT] * 3 + [WIDE] * 3, (4 / 3) ** 2, "stretch"),
        ([PORTRAIT] * 3 + [STRIP] * 3, 16 / 3, "letterbox"),
        ([SQUARE] * 39 + [STRIP], 1.0, "stretch"),
    ],
)
def test_boxes(tmp_path: Path, sizes: list[tuple[int, int]], spread: float, mode: str) -> None:
    root = boxes(tmp_path / "data", sizes)
    own = look_at(root, None, "ssdlite_v3_small", ["model.weights=None", "data.num_workers=0"])
    assert own.fitted.resize is not None and own.fitted.resize.mode == mode
    assert own.fitted.resize.spread == pytest.approx(spread)
    line = own.fitted.resize.line()
    assert line in own.lines()
    file, _ = write_config(own, tmp_path, ["model.weights=None"], "train", check_weights=False)
    experiment, _ = load_experiment(file, ["model.weights=None"])
    resize = experiment.model(("thing",)).resize
    assert resize == Resize((320, 320), mode=mode)  # type: ignore[arg-type]
    train = detect_format(root).read("train")
    assert isinstance(train, DetectionRecords)
    anchors, ceiling = fit_anchors(train, (320, 320), resize.mode)
    assert (own.fitted.anchors, own.fitted.ceiling) == (anchors, ceiling)
    assert isinstance(anchors, ExplicitAnchors)
    report = examine(detect_format(root), Plan()).report
    assert line in report_text(report) and report.as_json()["resize"]["mode"] == mode
    assert report.anchors is not None and report.anchors.matched[0].num_unmatched == 0


def test_what_is_stated_is_kept_to(tmp_path: Path) -> None:
    root = boxes(tmp_path / "data", [PORTRAIT, STRIP])
    stated = ["model.mode=stretch", "model.weights=None", "data.num_workers=0"]
    own = look_at(root, None, "gfl_v3_small", stated)
    assert own.fitted.resize is None and not any(line.startswith("resize") for line in own.lines())
    file, _ = write_config(own, tmp_path, stated, "train", check_weights=False)
    assert load_experiment(file, stated)[0].model(("thing",)).resize.mode == "stretch"
    own = look_at(root, None, "gfl_v3_small", stated[1:])
    file, _ = write_config(own, tmp_path, stated[1:], "train", check_weights=False)
    assert load_experiment(file, stated[1:])[0].model(("thing",)).resize.mode == "letterbox"


@pytest.mark.parametrize(("sizes", "mode"), [([WIDE] * 3, "stretch"), ([WIDE, SQUARE, SQUARE], "letterbox")])
def test_masks(tmp_path: Path, sizes: list[tuple[int, int]], mode: str) -> None:
    root = masks(tmp_path, sizes)
    own = look_at(root, None, None, ["model.weights=None", "data.num_workers=0"])
    assert own.fitted.resize is not None and own.fitted.resize.mode == mode
    report = examine(detect_format(root), Plan()).report
    assert report.resize == own.fitted.resize == advise_masks(np.array(sizes, dtype=np.float64))


def test_the_line_says_why() -> None:
    assert ResizeAdvice(3.0, 2.0).line() == (
        "resize: letterbox, as width to height differs 3.00 times between pictures (letterbox beyond 2): "
        "model.mode"
    )
