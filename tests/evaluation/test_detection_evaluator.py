"""Covers evaluation/report/detection.py, tools/compare.py.

Evaluation and comparison of detectors, from predictions made up from the truth.
"""

from __future__ import annotations

import base64
import io
import json
import logging
import re
import shutil
from collections.abc import Callable, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from pocketvision.core.errors import InputError
from pocketvision.core.resize import Resize
from pocketvision.core.structures import DetectionBatch, Detections, Size, stack_detections
from pocketvision.datasets import CocoDataModule
from pocketvision.evaluation.compare import compare, comparison_text
from pocketvision.evaluation.evaluate import evaluate, metrics_table
from pocketvision.models import SSDPostprocess
from pocketvision.tools.compare import main as compare_tool

NAMES = ("cat", "owl")


class Canned:
    """Finds the true boxes, moved by ``offset`` pixels, and one that isn't there; image after image."""

    class_names = NAMES

    def __init__(self, data: CocoDataModule, offset: float) -> None:
        records = data.records("val")
        self.boxes = [torch.from_numpy(records.boxes[records.boxes_of(i)]) for i in range(len(records))]
        self.labels = [torch.from_numpy(records.labels[records.boxes_of(i)]) for i in range(len(records))]
        self.offset, self.next = offset, 0

    def predict(self, images: Tensor) -> DetectionBatch:
        found = []
        for _ in images:
            boxes = torch.cat([self.boxes[self.next] + self.offset, torch.tensor([[70.0, 40, 90, 60]])])
            labels = torch.cat([self.labels[self.next], torch.tensor([1])])
            found.append(Detections(boxes, torch.linspace(0.9, 0.2, len(boxes)), labels))
            self.next += 1
        return stack_detections(found)

    def restore(self, detections: DetectionBatch, original_sizes: Sequence[Size]) -> list[Detections]:
        return detections.unpad()


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, tiny: Callable[[str], Path]) -> Path:
    """A folder with the results of a bad detector in ``bad`` and of a good one in ``good/eval_val``."""
    folder = tmp_path_factory.mktemp("results")
    data = CocoDataModule(tiny("coco"), batch_size=3, num_workers=0)
    data.connect(NAMES, Resize((64, 64)))
    for name, offset in (("bad", 9.0), ("good/eval_val", 1.0)):
        evaluate(Canned(data, offset), data, "val", folder / name, torch.device("cpu"))
    return folder


def read(folder: Path, name: str = "metrics.json") -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / name).read_text())
    return content


def test_metrics_hold_intervals_and_the_best_thresholds(results: Path) -> None:
    metrics = read(results / "good/eval_val")
    assert metrics["AP_ci_low"] <= metrics["AP"] <= metrics["AP_ci_high"] <= 1
    assert metrics["num_resamples"] == 1000 and metrics["num_images"] == 4
    cat, owl = metrics["per_class"]["cat"], metrics["per_class"]["owl"]
    assert cat["F1"] == cat["recall"] == cat["precision"] == 1 and cat["AP50"] == pytest.approx(1)
    assert owl["AP_large"] is None and 0.2 < owl["threshold"] <= 0.9
    text = metrics_table(metrics)
    assert re.search(r"^AP  +0\.\d{4}  \(0\.\d{4} to 0\.\d{4}\)$", text, re.MULTILINE)
    assert "1000 resamples" in text and "ci_low" not in text


def test_the_sheet_shows_images_from_the_first_to_the_last_at_the_best_threshold(
    tiny: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The first ones of a video are of one scene."""
    monkeypatch.setattr("pocketvision.evaluation.detection_evaluator.NUM_PICTURES", 2)
    shown: dict[str, Any] = {}

    def sheet(images: Tensor, targets: Any, found: Any, names: Any, threshold: float) -> np.ndarray:
        shown.update(ids=[target.image_id for target in targets], threshold=threshold)
        return np.zeros((9, 9, 3), np.uint8)

    monkeypatch.setattr("pocketvision.evaluation.detection_evaluator.detection_sheet", sheet)
    data = CocoDataModule(tiny("coco"), batch_size=3, num_workers=0)
    data.connect(NAMES, Resize((64, 64)))
    evaluate(Canned(data, 1.0), data, "val", tmp_path / "good", torch.device("cpu"))
    assert shown["ids"] == [10, 40]
    assert shown["threshold"] == read(tmp_path / "good", "analysis.json")["threshold"] != 0.5


def test_caps_that_cut_are_said(
    tiny: Callable[[str], Path], caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """The model gives one box a picture, where some have two; then one picture has 101 of a class."""

    class Limited(Canned):
        postprocess = SSDPostprocess(max_detections=1)

    def said(data: CocoDataModule, model: type[Canned], name: str) -> str:
        caplog.clear()
        data.connect(NAMES, Resize((64, 64)))
        with caplog.at_level(logging.WARNING, "pocketvision"):
            evaluate(model(data, 0.0), data, "val", tmp_path / name, torch.device("cpu"))
        return caplog.text

    data = CocoDataModule(tiny("coco"), batch_size=3, num_workers=0)
    counts = np.diff(data.read("val").offsets)
    assert said(data, Canned, "free") == ""
    text = said(data, Limited, "limited")
    assert (
        f"{(counts > 1).sum()} of 4 pictures have more boxes than the 1 that the model gives, up to 2" in text
    )
    assert "raise model.max_detections" in text and "as COCO's do" not in text

    root = tmp_path / "crowded"
    shutil.copytree(tiny("coco"), root)
    content = json.loads((root / "instances_val.json").read_text())
    first = content["annotations"][0]
    content["annotations"] += [{**first, "id": 1000 + i} for i in range(100)]
    (root / "instances_val.json").write_text(json.dumps(content))
    crowded = CocoDataModule(root, batch_size=3, num_workers=0)
    assert "A class has more than 100 boxes in a picture, 1 times" in said(crowded, Canned, "crowded")


def test_analysis_says_what_is_wrong(results: Path) -> None:
    errors = read(results / "bad", "analysis.json")["errors"]
    assert errors["location"]["count"] == 4 and errors["location"]["dAP50"] > 0.3
    assert errors["background"]["count"] == 4 and errors["missed"]["count"] == 0
    good = read(results / "good/eval_val", "analysis.json")
    assert good["confusion"]["names"] == ["cat", "owl", "background"]
    assert np.diagonal(good["confusion"]["boxes"]).sum() == 4
    assert len(good["precision_at_recall_0_to_1"]["cat"]) == 101


def test_the_report_needs_nothing_else(results: Path) -> None:
    page = (results / "bad" / "report.html").read_text(encoding="utf-8")
    HTMLParser().feed(page)
    sources = re.findall(r'(?:src|href)="([^"]{0,30})', page)
    assert sources and all(source.startswith("data:image/") for source in sources)
    assert "http" not in page and "<script" not in page
    codes = re.findall(r'base64,([^"]+)"', page)
    sizes = [Image.open(io.BytesIO(base64.b64decode(code))).size for code in codes]
    assert len(sizes) >= 5 and all(min(size) >= 100 for size in sizes)
    for text in ("Worst images", "What costs AP", "All classes", "owl", "95% interval", "n/a"):
        assert text in page


def test_better_is_told_from_worse(results: Path) -> None:
    comparison = compare(results / "bad", results / "good")
    a, b, (gain, low, high, p_value) = comparison.metrics["AP50"]
    assert (a, b) == (read(results / "bad")["AP50"], read(results / "good/eval_val")["AP50"])
    assert gain == pytest.approx(b - a) and 0 < low <= gain <= high and p_value < 0.05
    assert [row.score_b > row.score_a for row in comparison.changes] == [True, True, True, False]
    text = comparison_text(comparison, ("x", "y"))
    assert "B gains 3, loses 0, 1 are equal" in text and "different" in text and "lost most" not in text
    same = compare(results / "bad", results / "bad", split="val")
    assert same.metrics["AP"][2][:3] == (0, 0, 0) and "no difference shown" in comparison_text(same, ("", ""))


def test_the_command(results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [str(results / "bad"), str(results / "good"), "--json", str(tmp_path / "c.json")]
    assert compare_tool(arguments) == 0
    assert "gained most" in capsys.readouterr().out
    content = read(tmp_path, "c.json")
    assert content["metrics"]["AP"]["B"] > content["metrics"]["AP"]["A"] and len(content["changes"]) == 4
    assert compare_tool([*arguments[:2], "--split", "test"]) == 1
    assert "has no results on test: make them with pocketvision eval" in capsys.readouterr().err
    assert compare_tool([str(tmp_path / "none"), arguments[1]]) == 1
    assert "There is no folder" in capsys.readouterr().err


def test_different_images_are_refused(results: Path, tmp_path: Path) -> None:
    source = results / "bad"
    (tmp_path / "metrics.json").write_bytes((source / "metrics.json").read_bytes())
    with pytest.raises(InputError, match=r"has no images\.npz: score it again"):
        compare(source, tmp_path)
    with np.load(source / "images.npz") as file:
        arrays = dict(file)
    for changes, message in (
        ({"image_ids": arrays["image_ids"] + 1}, "of different images or annotations"),
        ({"truth_categories": 1 - arrays["truth_categories"]}, "of different images or annotations"),
        ({"class_names": np.array(["cat", "dog"])}, "on different classes"),
    ):
        np.savez(tmp_path / "images.npz", **{**arrays, **changes})
        with pytest.raises(InputError, match=message):
            compare(source, tmp_path)
    (tmp_path / "images.npz").write_bytes(b"PK broken")
    with pytest.raises(InputError, match="is broken"):
        compare(source, tmp_path)
    (tmp_path / "metrics.json").write_text(json.dumps({"split": "test"}))
    with pytest.raises(InputError, match=r"was scored on val, .* on test: score both on one split"):
        compare(source, tmp_path)
