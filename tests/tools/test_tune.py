"""Covers tools/tune.py, tasks/tuning/start.py: a sweep from its command to its answer, and wrong commands."""

from __future__ import annotations

import csv
import json
import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pocketvision.tasks.tuning import learning_rates
from pocketvision.tools.train import main as train
from pocketvision.tools.tune import main as tune

SMALL = [
    "data.num_train=4", "data.num_val=2", "data.batch_size=2", "model.image_size=(64,64)",
    "model.width_mult=0.35", "trainer.max_steps=1",
]  # fmt: skip
LR = "task.optimizer.lr=1e-4..1e-2"


@pytest.mark.slow
def test_a_sweep_says_how_to_train_with_the_best(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert tune(["quickstart", *SMALL, LR, "--minutes", "0.001", "--run-dir", "my sweep"]) == 0
    said = capsys.readouterr().out
    assert "task.optimizer.lr: 0.0001 to 0.01 (log)" in said
    assert re.search(r"trial 0: AP \d\.\d{4}, task\.optimizer\.lr=0\.004 \(best \d\.\d{4} of trial 0,", said)
    command = shlex.split(said.splitlines()[-1].removeprefix("next: "))
    assert command[:3] == ["pocketvision", "train", "quickstart"] and LR not in command
    assert train([*command[2:], "--print-config"]) == 0
    shown = capsys.readouterr().out
    assert "lr=0.004" in shown and "image_size=(64, 64)" in shown

    with Path("my sweep", "trials.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    metrics = json.loads(Path("my sweep", "trials", "0", "metrics.json").read_text())
    assert float(row["score"]) == metrics["AP"] and row["task.optimizer.lr"] == "0.004"
    assert Path("my sweep", "trials.png").is_file() and Path("my sweep", "trials", "0", "run.json").is_file()
    assert tune(["quickstart", LR, "--run-dir", "my sweep"]) == 1
    assert "go on with pocketvision tune --resume 'my sweep'" in capsys.readouterr().err
    assert tune(["--resume", "my sweep"]) == 0, "with no time left it says its answer again"
    assert shlex.split(capsys.readouterr().out.splitlines()[-1].removeprefix("next: ")) == command


@pytest.mark.slow
def test_data_without_a_config(
    tmp_path: Path, tiny: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, data = tmp_path / "sweep", str(tiny("coco"))
    words = ["--data", data, "--model", "ssdlite_v3_small", "model.weights=None", "data.num_workers=0"]
    search = ["trainer.max_steps=1", "task.optimizer.lr=1e-4,1e-3", "--minutes", "1", "--trials", "1"]
    assert tune([*words, *search, "--run-dir", str(folder), "--find-lr"]) == 1
    assert "--minutes and --trials are for a sweep" in capsys.readouterr().err
    assert tune([*words, *search, "--run-dir", str(folder)]) == 0
    said = capsys.readouterr().out
    assert "a trial is as long as the recipe says" in said
    assert f"next: pocketvision train --data {data} --model ssdlite_v3_small model.weights=None" in said
    record = json.loads((folder / "sweep.json").read_text())
    assert not [word for word in record["overrides"] if word.startswith("minutes=")]


def test_a_suggested_learning_rate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(learning_rates, "STEPS", 30)
    monkeypatch.setattr(learning_rates, "LOWEST", 1e-4)
    monkeypatch.setattr(learning_rates, "HIGHEST", 1e-1)
    folder = tmp_path / "rates"
    assert tune(["quickstart", *SMALL[:-1], "--find-lr", "--run-dir", str(folder)]) == 0
    said = capsys.readouterr().out
    found = re.search(r"the loss falls fastest at task\.optimizer\.lr=(\S+); the config has 0\.004", said)
    assert found is not None and 1e-4 <= float(found[1]) <= 1e-1
    assert f"next: pocketvision train quickstart {SMALL[0]}" in said and f"lr={found[1]}\n" in said
    assert [path.name for path in folder.iterdir()] == ["learning_rates.png"]


COCO = ["ssdlite_v3_small_coco", "data.root=/nowhere"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "Say what to train"),
        ([LR], "Say what to train"),
        (["quickstart"], "Say what to search, such as task.optimizer.lr=1e-4..1e-2"),
        ([*COCO, "task.optimiser.lr=1e-4..1e-2"], "Did you mean 'optimizer'?"),
        ([*COCO, "task.optimizer.lr=1e-2..1e-4"], "the lower first"),
        ([*COCO, "data.rot=a,b"], "Did you mean 'root'?"),
        ([*COCO, LR, "minutes=3"], "minutes is not for trials"),
        ([*COCO, LR, "trainer.devices=2"], "tune trains in one process"),
        (["--data", "/nowhere", "task.optimizer.rl=1e-4..1e-2"], "Unknown override 'task.optimizer.rl'"),
        ([*COCO, LR, "--minutes", "0"], "--minutes is 0: give a number above 0"),
        ([*COCO, LR, "--trials", "0"], "--trials is 0: give a number from 1"),
        ([*COCO, LR, "--model", "ssdlite_v2"], "--task and --model go with --data PATH"),
        (["--data", "x", *COCO, LR], "Give either the config ssdlite_v3_small_coco or --data x"),
        (["--resume", "out/x", LR], "--resume DIR takes nothing else but --minutes"),
        (["--resume", "out/x"], "out/x is no folder of a sweep"),
    ],
)
def test_wrong_commands_are_answered_before_data_are_opened(
    words: list[str], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert tune(words) == 1
    assert sentence in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_without_optuna(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert tune(["quickstart", LR]) == 1
    assert "A sweep needs the package optuna: pip install 'pocketvision[tune]'." in capsys.readouterr().err
