"""Covers api/training.py, tasks/own/starting.py: training as a function, of a config, a cell and data."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

import pocketvision
from pocketvision.configs import quickstart
from pocketvision.core.errors import InputError
from pocketvision.runs.folder import Run

SHORT = {"max_epochs": 1, "limit_train_batches": 1, "check_val_every_n_epoch": 1}
WORDS = ["trainer.max_epochs=1", "trainer.limit_train_batches=1", "data.num_workers=0", "data.batch_size=2"]


def test_an_experiment_of_a_cell_trains_and_its_run_needs_nothing_else(tmp_path: Path) -> None:
    experiment = replace(
        quickstart.config,
        model=partial(quickstart.model, image_size=(64, 64)),
        data=partial(quickstart.config.data, num_train=4, num_val=2, batch_size=2),
        trainer=SHORT,
    )
    trained = pocketvision.train(experiment, ["seed=4"], run_dir=str(tmp_path / "run"))
    assert trained.folder == tmp_path / "run"
    assert trained.scores == json.loads((trained.folder / "metrics.json").read_text())
    assert trained.load().resize.image_size == (64, 64)
    shown = Image.open(io.BytesIO(trained._repr_jpeg_() or b""))
    with Image.open(trained.folder / "predictions.png") as whole:
        assert max(shown.size) == min(900, max(whole.size))
    assert pocketvision.TrainedRun(tmp_path, {})._repr_jpeg_() is None
    found = trained.predictor(threshold=0.0, device="cpu")(np.zeros((50, 60, 3), np.uint8))
    assert found.class_names == trained.load().class_names
    again = Run.open(trained.folder).load()
    assert again.seed == 4 and again.trainer == SHORT
    with pytest.raises(InputError, match="--run-dir"):
        pocketvision.train(experiment, run_dir=tmp_path / "run")


def test_a_data_set_trains(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    trained = pocketvision.train(
        data=tiny("coco"), overrides=[*WORDS, "model.weights=None", "model.image_size=(64,64)"],
        model="ssdlite_v3_small", run_dir=tmp_path / "run",
    )  # fmt: skip
    assert trained.scores["num_images"] == 4 and trained.load().class_names == ("cat", "owl")


def test_bad_requests_are_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="a config, or data=PATH, and not both"):
        pocketvision.train()
    with pytest.raises(InputError, match="a config, or data=PATH, and not both"):
        pocketvision.train("quickstart", data=tmp_path)
    with pytest.raises(InputError, match="task and model go with data"):
        pocketvision.train("quickstart", model="ssdlite_v2")
    with pytest.raises(InputError, match="There is no model 'x'"):
        pocketvision.train(data=tmp_path, model="x")
    with pytest.raises(InputError, match=r"give a list, as \['seed=1'\]"):
        pocketvision.train("quickstart", "seed=1")
    with pytest.raises(InputError, match="minutes is 0"):
        pocketvision.train("quickstart", minutes=0)
    with pytest.raises(InputError, match="Did you mean 'quickstart'"):
        pocketvision.train("quickstar")
    with pytest.raises(InputError, match=r"Unknown override 'data\.batch'"):
        pocketvision.train("quickstart", ["data.batch=1"], run_dir=tmp_path / "run")
    monkeypatch.setitem(sys.modules, "__main__", ModuleType("__main__"))
    with pytest.raises(InputError, match="A notebook is one process"):
        pocketvision.train("quickstart", ["trainer.devices=2"], run_dir=tmp_path / "run")
    assert not (tmp_path / "run").exists()
