"""Covers configs/own_detection_gfl.py, tasks/own/fit_to_data.py.

A dense detector lives like SSDLite: trained on own data, resumed, loaded, given other classes, looked at.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import pocketvision
from pocketvision.configs import own_detection, own_detection_gfl
from pocketvision.core.anchors import ExplicitAnchors
from pocketvision.core.command import shipped_configs
from pocketvision.core.config import parameters
from pocketvision.core.distances import DistanceBoxCoder
from pocketvision.core.weights import read_passport, read_state_dict
from pocketvision.datasets import detect_format
from pocketvision.models import Detector
from pocketvision.runs.folder import Run, load_experiment
from pocketvision.tasks.overfit import overfit
from pocketvision.tasks.own.fit_to_data import STRIDES, fit_cells
from pocketvision.tools.check_data import main as check_data
from pocketvision.tools.show_data import main as show_data
from pocketvision.tools.train import main as train

Tiny = Callable[[str], Path]
SMALL = ["data.batch_size=2", "data.num_workers=0", "model.image_size=(96,96)", "model.weights=None"]


@pytest.fixture(scope="module")
def run(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two steps of ``train --data``, with an average of the weights."""
    folder = tmp_path_factory.mktemp("dense") / "run"
    command = ["--data", str(tiny("voc")), "--model", "gfl_v3_small", *SMALL, "trainer.max_steps=2"]
    assert train([*command, "--run-dir", str(folder)]) == 0
    return folder


def test_own_data_give_one_anchor_a_map(run: Path, tiny: Tiny) -> None:
    experiment = Run.open(run).load()
    anchors = parameters(experiment.model)["anchors"]
    assert isinstance(anchors, ExplicitAnchors) and anchors.num_anchors(4) == [1, 1, 1, 1]
    assert anchors == fit_cells(detect_format(tiny("voc")).read("train"), (96, 96))[0]
    assert parameters(experiment.task)["ema_decay"] is not None
    text = next((run / "config").glob("*.py")).read_text()
    assert "own_detection_gfl as base" in text and "one a map" in " ".join(text.split())


def test_it_goes_on_where_it_stopped(run: Path) -> None:
    (run / "metrics.json").unlink()  # as if it had been stopped before its scores
    assert train(["--resume", str(run)]) == 0
    assert json.loads((run / "metrics.json").read_text())["num_images"] > 0


@pytest.mark.slow
def test_weights_of_a_shipped_config_build_their_model(tmp_path: Path, tiny: Tiny) -> None:
    folder = tmp_path / "run"
    command = ["gfl_v3_small_coco", f"data.root={tiny('coco')}", *SMALL, "model.width_mult=0.35"]
    assert train([*command, "trainer.max_steps=1", "--run-dir", str(folder)]) == 0
    path = folder / "weights.safetensors"
    checkpoint = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    assert checkpoint["guide"]["state_dict"], "its guide learned with it, and is kept apart"
    for state in (read_state_dict(path), checkpoint["state_dict"], checkpoint["trained_state_dict"]):
        assert not [name for name in state if "guide" in name]
    assert read_passport(path)["coder"] == repr(DistanceBoxCoder())
    model = pocketvision.load(path)
    assert isinstance(model, Detector) and model.postprocess.coder == DistanceBoxCoder()
    assert model.score_function == "sigmoid"
    (folder / "metrics.json").unlink()
    assert train(["--resume", str(folder)]) == 0


def test_a_run_teaches_another(run: Path, tiny: Tiny, tmp_path: Path) -> None:
    folder = tmp_path / "student"
    command = ["--data", str(tiny("voc")), "--model", "gfl_v3_small", *SMALL, "trainer.max_steps=1"]
    assert train([*command, f"task.teacher={run}", "--run-dir", str(folder)]) == 0
    columns = (folder / "metrics.csv").read_text().splitlines()[0]
    assert "train/teacher_class_loss" in columns and "train/teacher_distribution_loss" in columns
    assert (
        read_state_dict(folder / "weights.safetensors").keys()
        == read_state_dict(run / "weights.safetensors").keys()
    )


def test_other_classes_start_from_it(run: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "pocketvision")
    folder = tmp_path / "other"
    config = next((run / "config").glob("*.py"))
    others = ["class_names=('RBC','owl','Platelets')", "trainer.max_steps=1"]
    assert train([str(config), *SMALL, *others, "--from", str(run), "--run-dir", str(folder)]) == 0
    assert "4 class heads kept 2 classes by name (2 -> 3 classes)" in caplog.text
    weights = read_state_dict(folder / "weights.safetensors")
    assert len(weights["head.class_blocks.0.bias"]) == 3 and len(weights["head.box_blocks.0.bias"]) == 32


@pytest.mark.slow
def test_it_learns_by_heart() -> None:
    small = ["data.num_train=8", "data.num_val=2", "data.num_workers=0", "trainer.max_steps=120"]
    quickstart = load_experiment(shipped_configs()["quickstart"], small)[0]
    dense = replace(
        quickstart,
        model=partial(own_detection_gfl.model, image_size=(96, 96), weights=None, channels=32),
        task=partial(quickstart.task, loss=parameters(own_detection_gfl.config.task)["loss"]),
    )
    result = overfit(dense, 2)
    assert result.passed and result.ceiling > 0.99, result


def test_show_data_draws_which_points_learn_which_box(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "assignment.png"
    config = next((run / "config").glob("*.py"))
    assert show_data([str(config), *SMALL, "--anchors", "--output", str(file)]) == 0
    said = capsys.readouterr().out
    assert "positive ones; 0 boxes have none" in said and cv2.imread(str(file)).std() > 20


def test_check_data_says_which_boxes_hold_no_cell(
    tiny: Tiny, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check_data([str(tiny("voc")), "--output", str(tmp_path / "check")])
    assert "boxes hold no cell's center" in capsys.readouterr().out
    report = json.loads((tmp_path / "check" / "report.json").read_text())
    assert report["points"]["stride"] == 8 and report["points"]["num_boxes"] > 0


def test_anchors_of_a_map_are_as_large_as_most_of_its_boxes(tiny: Tiny) -> None:
    train_records = detect_format(tiny("voc")).read("train")
    anchors, share = fit_cells(train_records, (320, 320))
    assert 0 <= share <= 1 and len(anchors.map_shapes) == len(STRIDES)
    areas = [width * height for ((width, height),) in anchors.map_shapes]
    assert areas == sorted(areas)
    owners = np.repeat(np.arange(len(train_records)), np.diff(train_records.offsets))
    sizes = train_records.sizes[owners][:, ::-1]
    shapes = (train_records.boxes[:, 2:] - train_records.boxes[:, :2]) / sizes
    assert (np.array(anchors.map_shapes[-1][0]) <= shapes.max(axis=0) + 1e-4).all()


@pytest.mark.parametrize("backbone", ["v1", "v2", "v3_small"])
def test_ssd_s_head_on_the_same_pyramid(backbone: str) -> None:
    model = own_detection.model(("a", "b"), backbone, (64, 64), weights=None, pyramid_channels=16).eval()
    assert list(model.backbone.feature_info) == ["p3", "p4", "p5", "p6"]
    output = model(torch.zeros(1, 3, 64, 64, dtype=torch.uint8))
    assert output.class_logits.shape[1:] == (len(output.anchors), 3)
