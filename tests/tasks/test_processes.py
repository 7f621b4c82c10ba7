"""Covers tasks/trainer.py.

Two processes train what one does with the joint batch; trainings survive signals of all kinds.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pocketvision.tools.train import main as train

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent.parent
CONFIG = """
from dataclasses import replace
from functools import partial

from pocketvision.configs import quickstart as base
from pocketvision.core.layers import freeze_norms


def model(class_names, **options):
    built = base.model(class_names, **options)
    freeze_norms(built)  # statistics of half a batch are others
    return built


config = replace(base.config, model=partial(model, image_size=(64, 64)))
"""
OPTIONS = [
    "data.num_train=16", "data.num_val=5", "data.num_workers=0", "trainer.max_epochs=2",
    "trainer.limit_val_batches=1.0", "trainer.check_val_every_n_epoch=1", "trainer.accelerator=cpu",
]  # fmt: skip


def run(command: list[str], folder: Path, code: int = 0) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=1200)
    assert done.returncode == code, done.stdout + done.stderr


def column(folder: Path, name: str) -> list[float]:
    with (folder / "metrics.csv").open(newline="") as file:
        return [float(row[name]) for row in csv.DictReader(file) if row[name]]


def test_two_processes_are_one_with_the_joint_batch(tmp_path: Path) -> None:
    config = tmp_path / "config.py"
    config.write_text(CONFIG)
    train = [sys.executable, str(ROOT / "tools" / "train.py"), str(config), *OPTIONS]
    run([*train, "data.batch_size=4", "--run-dir", "one"], tmp_path)
    run([*train, "data.batch_size=2", "trainer.devices=2", "--run-dir", "two"], tmp_path)
    parts = ["data.batch_size=1", "trainer.devices=2", "trainer.accumulate_grad_batches=2"]
    run([*train, *parts, "--run-dir", "parts"], tmp_path)
    made = {path.name for path in tmp_path.iterdir()} - {"__pycache__"}
    assert made == {"config.py", "one", "parts", "two"}
    one, two = tmp_path / "one", tmp_path / "two"
    assert len(column(one, "train/loss")) == 8
    for name in ("train/loss", "train/class_loss", "train/box_loss", "lr"):
        assert column(two, name) == pytest.approx(column(one, name), rel=1e-4)
        assert column(tmp_path / "parts", name) == pytest.approx(column(one, name), rel=1e-4)
    assert column(two, "val/AP") == pytest.approx(column(one, "val/AP"), abs=1e-3)
    assert json.loads((two / "metrics.json").read_text())["num_images"] == 5


SEVERAL = """
import signal

import lightning as L


class Stop(L.Callback):
    def on_train_batch_end(self, trainer, *_):
        if trainer.world_size > 1 and trainer.global_step == 3:
            signal.raise_signal(signal.SIGINT)


config = replace(config, trainer={**config.trainer, "callbacks": [Stop()]})
"""


@pytest.mark.parametrize(
    ("mixed", "parts"), [(False, ["trainer.accumulate_grad_batches=2"]), (True, ["data.batch_size=2"])]
)
def test_two_processes_train_several_tasks_as_one(
    mixed: bool, parts: list[str], tiny: Callable[[str], Path], tmp_path: Path
) -> None:
    """A batch of one task leaves the other's head alone in both; stopped within an epoch, they go on."""
    config = tmp_path / "config.py"
    own = CONFIG.replace("quickstart", "own_joint").replace(
        "(64, 64)", '(64, 64), backbone="v1", weights=None'
    )
    config.write_text(own + SEVERAL)
    words = [
        f"data.parts.detection.root={tiny('coco')}", f"data.parts.segmentation.root={tiny('voc_masks')}",
        "class_names=None", "task.balance=gradient_norm", "trainer.max_epochs=2", "data.num_workers=0",
        "trainer.check_val_every_n_epoch=2", "trainer.accelerator=cpu",
        "data.parts.segmentation.augmentation.crop_size=(64,64)", f"data.mixed={mixed}",
    ]  # fmt: skip
    one, two = tmp_path / "one", tmp_path / "two"
    assert train([str(config), *words, "data.batch_size=4", "--run-dir", str(one)]) == 0
    script = [sys.executable, str(ROOT / "tools" / "train.py")]
    of_two = ["data.batch_size=1", "trainer.devices=2", *parts]
    run([*script, str(config), *words, *of_two, "--run-dir", "two"], tmp_path, code=130)
    run([*script, "--resume", "two"], tmp_path)
    losses = "train/loss", "train/detection/box_loss", "train/segmentation/cross_entropy"
    for name in (*losses, "train/weight/detection"):
        assert column(two, name) == pytest.approx(column(one, name), rel=1e-3), name
    assert len(column(two, "train/loss")) == 4
    scores = [json.loads((folder / "metrics.json").read_text()) for folder in (one, two)]
    assert scores[0]["num_images"] == scores[1]["num_images"]


@pytest.mark.parametrize(
    ("processes", "signals", "target", "words"),
    [
        (1, "TERM", "group", ()),
        (2, "KILL TERM", "one", ("--words", "data.repeat_threshold=1.0")),
    ],
)
def test_a_disturbed_training_ends_and_goes_on_bit_for_bit(
    processes: int, signals: str, target: str, words: tuple[str, ...], tmp_path: Path
) -> None:
    """A short version of what benchmarks/kill.py measures; the run is moved before it goes on."""
    script = str(ROOT / "benchmarks" / "kill.py")
    options = ["--kills", "1", "--processes", str(processes), "--targets", target, *words]
    options += ["--end-seconds", "60"]
    run([sys.executable, script, *options, "--signals", *signals.split(), "--output", "kill"], tmp_path)
