"""Covers doctor/data_sheet.py, tasks/own/timing.py, tools/show_data.py.

``train --data``, ``--minutes``, ``--overfit`` and ``show-data`` from the command line, on tiny data.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest

from pocketvision.runs.folder import Run
from pocketvision.tools.show_data import main as show_data
from pocketvision.tools.train import main as train

Tiny = Callable[[str], Path]
SMALL = ["data.batch_size=2", "data.num_workers=0", "model.image_size=(96,96)", "model.weights=None"]
QUICK = ["quickstart", "data.num_train=8", "data.num_val=2", "data.batch_size=2", "model.image_size=(96,96)"]


@pytest.mark.parametrize(
    ("layout", "metric", "words"),
    [
        ("voc", "AP", ("Pascal VOC boxes", "task: detection", "train 4, val 4")),
        ("masks", "mIoU", ("folders of masks", "12 classes: class_0", "input 96x96")),
        ("cityscapes", "mIoU", ("Cityscapes masks", "19 classes: road", "train 4, val 4")),
        ("image_folder", "top1", ("folders of classes", "2 classes", "classifier_v3_small")),
    ],
)
def test_a_data_set_trains_without_a_config(
    layout: str, metric: str, words: tuple[str, ...], tiny: Tiny, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """The Cityscapes tree has all 34 label ids."""
    run = tmp_path / "run"
    assert train([*SMALL, "trainer.max_steps=1", "--data", str(tiny(layout)), "--run-dir", str(run)]) == 0
    said = capsys.readouterr().out
    assert all(word in said for word in words) and "recipe:" in said and "learning rate" in said
    metrics = json.loads((run / "metrics.json").read_text())
    assert metric in metrics and metrics["split"] == "val"
    (config,) = (run / "config").iterdir()
    assert str(tiny(layout)) in config.read_text() and "recipe" not in config.name
    experiment = Run.open(run).load()
    assert experiment.trainer["max_steps"] == 1, "the run can be opened again"


def test_minutes_are_measured(tiny: Tiny, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    command = [*SMALL, "--data", str(tiny("image_folder")), "--minutes", "1", "trainer.max_steps=1"]
    assert train([*command, "--run-dir", str(run)]) == 0
    said = capsys.readouterr().out
    assert "a step takes" in said and "scoring takes" in said and "training ends in time" in said
    (config,) = (run / "config").iterdir()
    steps = re.search(r'"max_steps": (\d+)', config.read_text())
    seconds = re.search(r"a step takes (\S+) s", said)
    assert steps is not None and seconds is not None
    assert 1 <= int(steps[1]) <= 1200, "the whole recipe on random weights has 600 epochs of 2 steps"
    assert int(steps[1]) == 1 or int(steps[1]) * float(seconds[1]) <= 60


def test_minutes_and_recipe_of_a_config(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = [*QUICK, "data.num_workers=0"]
    assert train([*small, "--minutes", "1e-9", "--run-dir", str(tmp_path / "a")]) == 1
    assert "--minutes 1e-09 is too short" in capsys.readouterr().err
    command = [*small, "--minutes", "1", "trainer.max_epochs=1", "--run-dir", str(tmp_path / "b")]
    assert train(command) == 0
    assert "the config's 4 steps fit into 1 min" in capsys.readouterr().out
    assert train([*small, "recipe=auto", "task.warmup_steps=7", "--print-config"]) == 0
    said = capsys.readouterr().out
    assert "recipe:" in said and "freeze_norms=False" in said and "warmup_steps=7" in said
    assert "reference_batch=2" in said and "max_epochs=None" in said and "ema_decay=0.9" in said


def test_a_config_for_own_data_derives_its_recipe(
    tiny: Tiny, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Masks: their class weights are taken from the data too, where that is asked for."""
    run = tmp_path / "run"
    small = [*SMALL, "data.augmentation.crop_size=(64,64)", f"data.root={tiny('voc_masks')}"]
    command = ["own_segmentation", *small, "task.loss.class_weights=data", "task.loss.hard_share=0.5"]
    assert train([*command, "trainer.max_steps=1", "--run-dir", str(run)]) == 0
    said = capsys.readouterr().out
    assert "recipe:" in said and "steps = " in said
    experiment = Run.open(run).load()
    settled = experiment.task.keywords  # type: ignore[attr-defined]
    assert settled["ema_decay"] >= 0.9 and settled["reference_batch"] == 2
    loss = settled["loss"]
    assert len(loss.class_weights) == 21 and loss.hard_share == 0.5
    assert experiment.trainer["max_steps"] == 1 and experiment.trainer["max_epochs"] is None


def test_a_config_for_own_data_lets_crowded_pictures_have_all_their_boxes(
    tiny: Tiny, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It allowed 100, whatever the data hold."""
    root = tmp_path / "crowded"
    shutil.copytree(tiny("coco"), root)
    file = root / "instances_train.json"
    content = json.loads(file.read_text())
    boxes = [{**content["annotations"][0], "id": i + 1, "bbox": [i % 60, i % 30, 10, 10]} for i in range(120)]
    file.write_text(json.dumps({**content, "annotations": boxes}))
    command = ["own_detection", f"data.root={root}", *SMALL, "recipe=auto", "--print-config"]
    assert train(command) == 0
    said = capsys.readouterr().out
    assert "max_detections=180," in said and "crowded pictures: model.max_detections=180" in said
    assert train([*command, "model.max_detections=7"]) == 0
    assert "max_detections=7," in capsys.readouterr().out, "what the command line states stays"


def test_print_config_trains_nothing(tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert train(["--data", str(tiny("voc")), "--model", "ssdlite_v2", "--print-config"]) == 0
    assert list(tmp_path.iterdir()) == []


def test_overfit_fails_with_an_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert train([*QUICK, "trainer.max_steps=1", "--overfit", "1"]) == 1
    said = capsys.readouterr()
    assert "FAIL: 1 images, 1 steps" in said.out and "self-test failed" in said.err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "a CONFIG, --data PATH, or --resume RUN"),
        (["quickstart", "--model", "ssdlite_v2"], "go with --data PATH"),
        (["quickstart", "--data", "."], "either the config quickstart or --data"),
        (["quickstart", "--overfit", "0"], "--overfit is 0"),
        (["quickstart", "--minutes", "0"], "--minutes is 0"),
        (["--resume", "x", "--minutes", "1"], "--resume RUN takes nothing else"),
        (["--data", "/nowhere"], "There is no data set /nowhere"),
    ],
)
def test_bad_commands_are_one_sentence(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(arguments) == 1
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize("layout", ["voc", "masks", "image_folder"])
def test_show_data_draws_what_is_trained_on(layout: str, tiny: Tiny, tmp_path: Path) -> None:
    file = tmp_path / "new" / "sheet.png"
    assert show_data([str(tiny(layout)), "--num", "6", "--output", str(file), *SMALL]) == 0
    sheet = cv2.imread(str(file))
    assert sheet.shape[1] > 4 * 360 and sheet.std() > 20


def test_show_data_draws_matched_anchors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "anchors.png"
    assert show_data([*QUICK, "data.num_workers=0", "--anchors", "--output", str(file)]) == 0
    said = capsys.readouterr().out
    assert "positive ones; 0 boxes have none" in said and file.is_file()
    assert show_data(["quickstart_segmentation", "--anchors", "--output", str(file)]) == 1
    assert "for detectors" in capsys.readouterr().err
    assert show_data(["quickstart", "--output", "x.pdf"]) == 1
