"""Covers tasks/progress_bar.py, tasks/trainer.py.

Where the time goes is measured right, in whole trainings too.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import lightning as L
import pytest
from lightning.pytorch.loggers import CSVLogger

from pocketvision.core.command import find_config
from pocketvision.runs.folder import load_experiment
from pocketvision.tasks.bottleneck import Bottleneck
from pocketvision.tasks.fit import fit

SMALL = [
    "data.num_train=8", "data.num_val=2", "data.batch_size=2", "data.num_workers=0",
    "model.image_size=(64,64)", "trainer.limit_val_batches=1.0", "trainer.check_val_every_n_epoch=1",
    "trainer.max_epochs=1",
]  # fmt: skip


class Slow(L.Callback):
    """A user's own callback that makes scoring take long."""

    def on_validation_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        time.sleep(3.0)


def test_a_training_names_what_it_waited_for_and_keeps_the_users_parts(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    experiment, _ = load_experiment(find_config("quickstart"), SMALL)
    own: dict[str, Any] = {"callbacks": [Slow()], "logger": CSVLogger(tmp_path / "own", name="", version="")}
    object.__setattr__(experiment, "trainer", {**experiment.trainer, **own, "gradient_clip_val": 1.0})
    monkeypatch.setattr("pocketvision.core.progress.SECONDS_BETWEEN_LINES", 0.0)
    with caplog.at_level(logging.INFO, "pocketvision"):
        assert fit(experiment, tmp_path / "run", [find_config("quickstart")], SMALL) is not None
    assert "The bottleneck is the evaluation" in caplog.text and "check_val_every_n_epoch" in caplog.text
    said = capsys.readouterr().out
    assert "images/s" in said and "left" in said
    for folder in (tmp_path / "run", tmp_path / "own"):
        assert (folder / "metrics.csv").is_file()
    assert list((tmp_path / "run").glob("events.out.tfevents*"))
    assert (tmp_path / "run" / "checkpoints" / "last.ckpt").is_file()


@pytest.mark.parametrize("kind", ["data", "device", "evaluation"])
def test_the_largest_share_is_the_bottleneck(kind: str) -> None:
    found = Bottleneck()
    found.seconds |= {"data": 1.0, "device": 1.0, "evaluation": 1.0, kind: 6.0}
    assert f"{kind} 75%" in found.describe() and f"bottleneck is the {kind}" in found.describe()
