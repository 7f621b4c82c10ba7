"""What a report says of the model's origin, cost and config."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pocketvision.core.config import parse_overrides
from pocketvision.evaluation.report.about import CURVES, about_sections
from pocketvision.models import VisionModel
from pocketvision.runs.build import build_model
from pocketvision.runs.folder import Run

RUN = Path(__file__).parents[2] / "runs" / "version_0_1" / "quickstart"


@pytest.fixture(scope="module")
def model() -> VisionModel:
    experiment = Run.open(RUN).load()
    return build_model(experiment, experiment.class_names or ())


def test_curves_cost_and_config_are_in_the_report_of_a_run(model: VisionModel, tmp_path: Path) -> None:
    shutil.copytree(RUN, tmp_path / "run")
    (tmp_path / "run" / CURVES).write_bytes(b"a picture")
    run = Run.open(tmp_path / "run")
    training, about, config = about_sections(model, run.load(), run)
    assert training.picture == b"a picture"
    assert dict(training.table)["commit of pocketvision"] == run.record["commit"]
    rows = dict(about.table)
    assert rows["task"] == "detection" and "circle" in rows["classes"] and rows["head"] == "SSDLiteHead"
    assert int(rows["parameters"].replace(",", "")) == sum(p.numel() for p in model.parameters())
    assert int(rows["multiply-adds of an image"].replace(",", "")) > 100_000
    values = dict(config.table)
    assert "task.optimizer.lr" in values and values["data.batch_size"].isdigit()
    assert parse_overrides(f"{name}={value}" for name, value in config.table[1:])


def test_without_a_run_there_is_no_training(model: VisionModel) -> None:
    sections = about_sections(model, Run.open(RUN).load())
    assert [section.title for section in sections] == ["Model", "Config"]


def test_many_classes_are_counted(model: VisionModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "class_names", tuple(f"class {i}" for i in range(80)))
    about = about_sections(model, Run.open(RUN).load())[0]
    assert dict(about.table)["classes"].endswith("class 9 and 70 more")
