"""The runs of benchmarks/heads.py are what they say."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

from pocketvision.configs import gfl_v2_bccd
from pocketvision.core.command import load_config
from pocketvision.core.config import Experiment, apply_overrides, parse_overrides
from pocketvision.models import Detector
from pocketvision.tasks import DetectionTask

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
CLASSES = ("a", "b", "c")


@pytest.fixture(scope="module")
def parts() -> dict[str, list[str]]:
    found: dict[str, list[str]] = runpy.run_path(str(BENCHMARKS / "heads.py"))["PARTS"]
    return found


def exchanged(name: str = "gfl_parts") -> Any:
    return load_config(BENCHMARKS / f"{name}.py")[0].config


def built(experiment: Experiment, words: list[str]) -> tuple[Detector, DetectionTask]:
    experiment = apply_overrides(experiment, parse_overrides(["model.weights=None", *words]))
    model = experiment.model(CLASSES)
    return model, experiment.task(model)


def test_without_words_the_parts_are_those_of_the_config() -> None:
    model, task = built(exchanged(), [])
    expected, expected_task = built(gfl_v2_bccd.config, [])
    assert [(k, v.shape) for k, v in model.state_dict().items()] == [
        (k, v.shape) for k, v in expected.state_dict().items()
    ]
    assert (model.anchors, task.loss, model.postprocess) == (
        expected.anchors,
        expected_task.loss,
        expected.postprocess,
    )


@pytest.mark.parametrize("name", ["gfl_parts", "gfl_parts_coco_mini"])
def test_each_row_of_the_ablation_is_another_detector(name: str, parts: dict[str, list[str]]) -> None:
    rows = [built(exchanged(name), words) for words in ([], *parts.values())]
    seen = {
        (str(m.anchors), str(t.loss), t.guide is None, sum(p.numel() for p in m.parameters()))
        for m, t in rows
    }
    assert len(seen) == len(parts) + 1
