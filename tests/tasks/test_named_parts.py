"""Covers tasks/trainer.py.

Loggers and callbacks by name, and trainer options under which nothing would be trained.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from lightning.pytorch.callbacks import EarlyStopping, Timer
from lightning.pytorch.loggers import CSVLogger

from pocketvision.core.errors import InputError
from pocketvision.tasks.curves import read_curves
from pocketvision.tasks.named_parts import further_callbacks, further_loggers
from pocketvision.tasks.trainer import checked_options
from pocketvision.tools.train import main as train

SMALL = ["quickstart", "data.num_train=4", "data.num_val=4", "data.batch_size=2", "trainer.max_steps=2"]


def test_callbacks(tmp_path: Path) -> None:
    timer = Timer()
    stopping, same = further_callbacks(["EarlyStopping", timer], "val/AP")
    assert isinstance(stopping, EarlyStopping) and (stopping.monitor, stopping.mode) == ("val/AP", "max")
    assert same is timer and further_callbacks(None, "val/AP") == []
    for other in ("RichProgressBar", 3):
        with pytest.raises(InputError, match="by name there is EarlyStopping"):
            further_callbacks(other, "val/AP")


def test_loggers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert further_loggers(None, tmp_path) == further_loggers(["csv", "tensorboard"], tmp_path) == []
    with pytest.raises(InputError, match="There is no logger 'wand': choose from csv, tensorboard, wandb"):
        further_loggers("wand", tmp_path)
    monkeypatch.setitem(sys.modules, "wandb", None)
    monkeypatch.setattr("lightning.pytorch.loggers.wandb._WANDB_AVAILABLE", False)
    with pytest.raises(InputError, match=r"trainer\.logger=wandb needs a package: pip install wandb"):
        further_loggers("wandb", tmp_path)


@pytest.mark.parametrize("option", [{"max_steps": 0}, {"max_epochs": 0}, {"limit_train_batches": 0.0}])
def test_nothing_to_train(option: dict[str, float]) -> None:
    with pytest.raises(InputError, match=f"trainer.{next(iter(option))} is 0: nothing would be trained"):
        checked_options(option)


def test_no_logger_writes_no_logs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    assert train([*SMALL, "trainer.logger=False", "--run-dir", str(run)]) == 0, capsys.readouterr().err
    names = {path.name.partition(".")[0] for path in run.iterdir()}
    assert "weights" in names and not names & {"events", "hparams", "curves"}
    assert not (run / "metrics.csv").exists() and (run / "metrics.json").is_file()


def test_an_untrained_run_is_not_saved(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    command = [*SMALL[:-1], "trainer.max_epochs=1", "trainer.limit_train_batches=0", "--run-dir", str(run)]
    assert train(command) == 1
    assert "trainer.limit_train_batches is 0" in capsys.readouterr().err and not run.exists()


class EagerLogger(CSVLogger):
    """As MLflow's: it makes its database when it is made."""

    def __init__(self, tracking_uri: str, artifact_location: str) -> None:
        database = Path(tracking_uri.removeprefix("sqlite:///"))
        database.touch(exist_ok=False)
        super().__init__(database.with_name("logged"))


def test_a_logger_that_writes_at_once_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("lightning.pytorch.loggers.MLFlowLogger", EagerLogger)
    run = tmp_path / "run"
    assert train([*SMALL, "trainer.logger=mlflow", "--run-dir", str(run)]) == 0, capsys.readouterr().err
    assert (run / "mlflow.db").is_file() and (run / "weights.safetensors").is_file()


def test_a_score_that_does_not_rise_ends_training(tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ["trainer.max_epochs=12", "trainer.check_val_every_n_epoch=1", "trainer.callbacks=EarlyStopping"]
    small = ["data.num_train=2", "data.num_val=1", "model.image_size=(64,64)", "task.optimizer.lr=0.0"]
    assert train(["quickstart", *small, "data.batch_size=2", *words, "--run-dir", str(run)]) == 0
    table = read_curves(run / "metrics.csv")
    assert len(table["val/AP"].values) == 4, "the first score, and three that are no better"
    assert (run / "weights.safetensors").is_file()
