"""Covers tasks/fit.py, tasks/lightning_data.py.

Trainings in which something breaks end as they should, and say what happened.
"""

from __future__ import annotations

import csv
import logging
import multiprocessing
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from torch import Tensor

from pocketvision.core.command import find_config
from pocketvision.core.config import Experiment
from pocketvision.core.errors import InputError, StoppedError
from pocketvision.losses import SSDLoss
from pocketvision.runs.folder import Run, load_experiment
from pocketvision.tasks.checkpoints import newest_intact
from pocketvision.tasks.fit import fit, resume

SMALL = [
    "data.num_train=12", "data.num_val=2", "data.batch_size=2", "data.num_workers=0",
    "model.image_size=(64,64)", "trainer.max_steps=6", "checkpoint_minutes=0",
]  # fmt: skip


@dataclass(frozen=True)
class Disturbed(SSDLoss):
    """SSD's loss that calls ``disturb`` with the number of the call and the losses."""

    disturb: Callable[[int, dict[str, Tensor]], None] = lambda call, losses: None
    calls: Any = None

    def __call__(self, output: Any, targets: Any) -> dict[str, Tensor]:
        losses = super().__call__(output, targets)
        self.calls.append(len(targets))
        self.disturb(len(self.calls), losses)
        return losses


def disturbed(disturb: Callable[[int, dict[str, Tensor]], None]) -> tuple[Experiment, list[int]]:
    experiment, _ = load_experiment(find_config("quickstart"), SMALL)
    base: SSDLoss = experiment.task.keywords["loss"]  # type: ignore[attr-defined]
    calls: list[int] = []
    loss = Disturbed(base.matcher, base.coder, disturb=disturb, calls=calls)
    return replace(experiment, task=partial(experiment.task, loss=loss)), calls


def train(experiment: Experiment, run: Path) -> Any:
    return fit(experiment, run, [find_config("quickstart")], SMALL)


def steps(run: Path) -> list[int]:
    with (run / "metrics.csv").open(newline="") as file:
        return [int(row["step"]) for row in csv.DictReader(file) if row["train/loss"]]


def test_one_bad_step_is_skipped_and_its_images_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def disturb(call: int, losses: dict[str, Tensor]) -> None:
        if call == 3:
            losses["box_loss"] = losses["box_loss"] * torch.nan

    experiment, _ = disturbed(disturb)
    with caplog.at_level(logging.WARNING, "pocketvision"):
        assert train(experiment, tmp_path / "run") is not None
    assert "step 2 is skipped" in caplog.text and "Images: " in caplog.text
    assert steps(tmp_path / "run") == [0, 1, 3, 4, 5]


def test_repeated_bad_steps_go_back_to_the_checkpoint_with_a_lower_rate(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def disturb(call: int, losses: dict[str, Tensor]) -> None:
        if 3 <= call <= 5:
            losses["box_loss"] = losses["box_loss"] * torch.nan

    experiment, calls = disturbed(disturb)
    with caplog.at_level(logging.WARNING, "pocketvision"):
        assert train(experiment, tmp_path / "run") is not None
    assert "half the learning rate" in caplog.text
    # Skipped steps make no checkpoint: what the first of them was is trained again.
    assert len(calls) == 5 + 4 and steps(tmp_path / "run") == list(range(6))


def test_a_loss_that_never_is_finite_ends_with_a_sentence(tmp_path: Path) -> None:
    def disturb(call: int, losses: dict[str, Tensor]) -> None:
        if call > 2:
            losses["box_loss"] = losses["box_loss"] * torch.inf

    experiment, _ = disturbed(disturb)
    with pytest.raises(InputError, match=r"not finite at step .* lower task\.optimizer\.lr"):
        train(experiment, tmp_path / "run")
    assert (tmp_path / "run" / "checkpoints" / "last.ckpt").is_file()


def test_out_of_memory_splits_the_batches(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    experiment, calls = disturbed(lambda call, losses: None)

    def disturb(call: int, losses: dict[str, Tensor]) -> None:
        if call > 3 and calls[-1] > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")

    loss = replace(experiment.task.keywords["loss"], disturb=disturb)  # type: ignore[attr-defined]
    with caplog.at_level(logging.WARNING, "pocketvision"):
        train(replace(experiment, task=partial(experiment.task, loss=loss)), tmp_path / "run")
    assert "each batch in smaller parts" in caplog.text
    # Three steps of two images, then three of one and one, whose loss says what they count.
    assert calls == [2, 2, 2, 2, *[1] * 6]
    overrides = Run.open(tmp_path / "run").record["overrides"]
    assert {"data.batch_size=1", "trainer.accumulate_grad_batches=2"} <= set(overrides)
    assert steps(tmp_path / "run") == list(range(6))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_writes_a_checkpoint_and_the_run_goes_on(
    number: signal.Signals, code: int, tmp_path: Path
) -> None:
    def disturb(call: int, losses: dict[str, Tensor]) -> None:
        if call == 4:
            os.kill(os.getpid(), number)
            os.kill(os.getpid(), number)  # timeout sends it to the process and to its group

    experiment, _ = disturbed(disturb)
    run, handlers = tmp_path / "run", [signal.getsignal(x) for x in (signal.SIGTERM, signal.SIGINT)]
    with pytest.raises(StoppedError, match=r"at step 4: .*--resume") as stop:
        train(replace(experiment, checkpoint_minutes=60.0), run)
    assert stop.value.code == code
    assert [signal.getsignal(x) for x in (signal.SIGTERM, signal.SIGINT)] == handlers
    checkpoint = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    assert checkpoint["global_step"] == 4
    # The name under which version 0.1 kept the position, and still finds it.
    assert checkpoint["ShapesDetectionDataModule"] == {"epoch": 0, "num_samples": 8}
    assert resume(run) is not None
    assert steps(run) == list(range(6))
    with pytest.raises(InputError, match="finished"):
        resume(run)


def test_a_signal_to_the_whole_group_is_no_accident_of_a_worker(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Training went on with new workers."""

    def disturb(call: int, losses: dict[str, Tensor]) -> None:
        if call == 4:
            for process in (*multiprocessing.active_children(), None):
                os.kill(process.pid if process else os.getpid(), signal.SIGTERM)  # type: ignore[arg-type]

    experiment, _ = disturbed(disturb)
    experiment = replace(experiment, data=partial(experiment.data, num_workers=2, num_train=40))
    run = tmp_path / "run"
    with caplog.at_level(logging.WARNING, "pocketvision"), pytest.raises(StoppedError, match="at step 4"):
        train(experiment, run)
    assert "died" not in caplog.text
    assert torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == 4


class Interrupt(L.Callback):
    """Ctrl-C at a moment of the training."""

    def __init__(self, moment: str) -> None:
        setattr(self, moment, lambda *arguments, **options: os.kill(os.getpid(), signal.SIGINT))


def test_a_stop_before_the_first_step_does_not_advise_to_resume(tmp_path: Path) -> None:
    experiment, _ = disturbed(lambda call, losses: None)
    experiment = replace(experiment, trainer={**experiment.trainer, "callbacks": [Interrupt("on_fit_start")]})
    with pytest.raises(StoppedError, match="before the first step: nothing is kept") as stop:
        train(experiment, tmp_path / "run")
    assert "--resume" not in str(stop.value) and not (tmp_path / "run").exists()


def test_a_stop_while_validating_goes_on_before_it(tmp_path: Path) -> None:
    options = {"max_epochs": 1, "max_steps": -1, "limit_val_batches": 1.0, "check_val_every_n_epoch": 1}
    experiment, _ = disturbed(lambda call, losses: None)
    trainer = {**experiment.trainer, **options, "callbacks": [Interrupt("on_validation_batch_start")]}
    run = tmp_path / "run"
    words = [*SMALL, "trainer.max_steps=-1", "trainer.max_epochs=1", "trainer.limit_val_batches=1.0"]
    with pytest.raises(StoppedError, match="at step 5: "):
        fit(replace(experiment, trainer=trainer), run, [find_config("quickstart")], words)
    assert resume(run) is not None
    assert steps(run) == list(range(6))


@pytest.mark.parametrize("moment", ["evaluate", "pictures"])
def test_a_run_that_was_killed_in_its_report_is_completed(
    moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It said that it was finished, without pictures."""

    def interrupted(*arguments: Any, **options: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)

    experiment, _ = disturbed(lambda call, losses: None)
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        where = "evaluation.evaluate.save_image" if moment == "pictures" else "tasks.fit.evaluate"
        patch.setattr(f"pocketvision.{where}", interrupted)
        with pytest.raises(StoppedError, match=r"at step 6: .*--resume"):
            train(experiment, run)
    assert (run / "metrics.json").is_file() == (moment == "pictures")
    assert resume(run) is not None
    assert (run / "predictions.png").is_file() and (run / "report.html").is_file()
    with pytest.raises(InputError, match="finished"):
        resume(run)


def test_a_data_worker_that_dies_is_replaced(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def disturb(call: int, losses: dict[str, Tensor]) -> None:
        if call == 3:
            for process in multiprocessing.active_children():
                process.kill()
                process.join()

    experiment, _ = disturbed(disturb)
    experiment = replace(experiment, data=partial(experiment.data, num_workers=1, num_train=40))
    with caplog.at_level(logging.WARNING, "pocketvision"):
        assert train(replace(experiment, trainer={**experiment.trainer, "max_steps": 12}), tmp_path / "run")
    assert "A process that loads data died" in caplog.text and "with new ones" in caplog.text
    assert steps(tmp_path / "run") == list(range(12))


def mount(folder: Path, num_bytes: int) -> None:
    """A disk of its own, or a skipped test where that takes more rights."""
    options = f"size={num_bytes}"
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True)
    if done.returncode != 0:
        pytest.skip("only root may mount a small disk")


class SmallDisk(L.Callback):
    """Gives the checkpoints a disk with room for one and a half of them, beside it when it is written."""

    def __init__(self, folder: Path, content: Path) -> None:
        self.folder, self.content = folder, content

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        mount(self.folder, self.content.stat().st_size * 3 // 2)


def test_a_full_disk_keeps_the_checkpoint_and_the_training(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A real file system that is full while the second checkpoint is written."""
    experiment, _ = disturbed(lambda call, losses: None)
    assert train(experiment, tmp_path / "large")
    last, small = tmp_path / "large" / "checkpoints" / "last.ckpt", tmp_path / "small" / "checkpoints"
    callbacks = [SmallDisk(small, last)]
    experiment = replace(experiment, trainer={**experiment.trainer, "callbacks": callbacks})
    try:
        with caplog.at_level(logging.WARNING, "pocketvision"):
            assert train(experiment, tmp_path / "small")
        assert "No space left" in caplog.text
        first_failed = min(int(step) for step in re.findall(r"No checkpoint at step (\d+)", caplog.text))
        kept = newest_intact(small)
        assert kept.name == "last.ckpt"
        assert torch.load(kept, weights_only=True)["global_step"] == first_failed - 1
        assert {path.name for path in small.iterdir()} <= {"last.ckpt", "previous.ckpt"}
    finally:
        subprocess.run(["umount", small], capture_output=True)


def test_a_run_goes_on_from_the_checkpoint_before_a_broken_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def disturb(call: int, losses: dict[str, Tensor]) -> None:
        if call == 5:
            os.kill(os.getpid(), signal.SIGTERM)

    experiment, _ = disturbed(disturb)
    run = tmp_path / "run"
    with pytest.raises(StoppedError):
        train(experiment, run)
    last = run / "checkpoints" / "last.ckpt"
    last.write_bytes(last.read_bytes()[:-1000])
    with caplog.at_level(logging.WARNING, "pocketvision"):
        assert resume(run) is not None
    assert "last.ckpt is missing or broken: going on from" in caplog.text and "previous.ckpt" in caplog.text
    assert steps(run) == list(range(6))
