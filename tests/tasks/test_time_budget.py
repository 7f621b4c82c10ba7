"""A training that has so many minutes takes them, however long its steps turn out to be."""

from __future__ import annotations

import csv
import logging
import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning as L
import pytest
import torch

from pocketvision.core.command import find_config
from pocketvision.core.errors import InputError, StoppedError
from pocketvision.runs.folder import load_experiment
from pocketvision.tasks import time_budget
from pocketvision.tasks.fit import fit, resume
from pocketvision.tasks.time_budget import TimeBudget

SMALL = [
    "data.num_train=40", "data.num_val=2", "data.batch_size=2", "data.num_workers=0",
    "model.image_size=(64,64)", "checkpoint_minutes=0",
]  # fmt: skip


def simulate(
    budget: TimeBudget, num_steps: int, seconds_of: Callable[[int], float], monkeypatch: pytest.MonkeyPatch
) -> list[float]:
    """Places after every step until the training ends; scoring every 20 steps takes 2 s."""
    clock = [0.0]
    monkeypatch.setattr(time_budget.time, "monotonic", lambda: clock[0])
    budget._since = 0.0
    loop = SimpleNamespace(max_steps=num_steps)
    trainer: Any = SimpleNamespace(
        accumulate_grad_batches=1, check_val_every_n_epoch=1, num_training_batches=20, global_step=0,
        fit_loop=SimpleNamespace(epoch_loop=loop),
    )  # fmt: skip
    places: list[float] = []
    module: Any = None
    budget.on_train_start(trainer, module)
    while trainer.global_step < loop.max_steps:
        clock[0] += seconds_of(trainer.global_step)
        trainer.global_step += 1
        places.append(budget.place(trainer.global_step, num_steps))
        budget.on_train_batch_end(trainer, module, None, None, (trainer.global_step - 1) % 20)
        if trainer.global_step % 20 == 0:
            budget.on_validation_start(trainer, module)
            clock[0] += 2.0
            budget.on_validation_end(trainer, module)
    return places


@pytest.mark.parametrize(
    ("name", "seconds_of"),
    [
        ("as planned", lambda step: 1.0),
        ("twice as fast", lambda step: 0.5),
        ("2.5 times as slow", lambda step: 2.5),
        ("slow from the middle", lambda step: 1.0 if step < 90 else 4.0),
        ("slow in between", lambda step: 5.0 if 20 < step < 60 else 1.0),
        ("noisy", lambda step: (0.5, 1.5, 4.0)[step % 3]),
    ],
)
def test_the_schedule_ends_in_time(
    name: str, seconds_of: Callable[[int], float], monkeypatch: pytest.MonkeyPatch
) -> None:
    budget, num_steps = TimeBudget(240.0, spent=20.0), 200
    places = simulate(budget, num_steps, seconds_of, monkeypatch)
    assert budget.spent <= 240 + 6  # at most a step, or the last scoring
    assert places == sorted(places) and places[-1] > 0.95 * num_steps
    if name in ("as planned", "twice as fast"):
        assert places == pytest.approx(list(range(1, 201)), abs=6)
    else:
        assert budget.spent > 225 and len(places) < 195


def test_it_goes_on_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = TimeBudget(100.0), TimeBudget(100.0)
    simulate(first, 50, lambda step: 1.0, monkeypatch)
    second.load_state_dict(first.state_dict())
    assert second.place(first.step, 50) == first.position and second.spent == pytest.approx(first.spent)
    assert second.place(0, 50) == 0, "as a scheduler asks when it is made"


class Slow(L.Callback):
    """Steps that take their time, on a machine that makes ready in no time."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def on_train_start(self, trainer: L.Trainer, *arguments: Any) -> None:
        (budget,) = (x for x in trainer.callbacks if isinstance(x, TimeBudget))  # type: ignore[attr-defined]
        budget._spent, budget._since = 0.0, time.monotonic()

    def on_train_batch_start(self, *arguments: Any) -> None:
        time.sleep(self.seconds)


def rates(run: Path) -> list[float]:
    with (run / "metrics.csv").open(newline="") as file:
        return [float(row["lr"]) for row in csv.DictReader(file) if row["lr"]]


def test_a_training_with_slow_steps(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    words = [
        *SMALL,
        "minutes=0.15",
        "trainer.max_steps=400",
        "trainer.max_epochs=None",
        "task.warmup_steps=0",
    ]
    words += ["trainer.limit_val_batches=1.0", "trainer.check_val_every_n_epoch=1"]
    experiment, _ = load_experiment(find_config("quickstart"), words)
    slow = replace(experiment, trainer={**experiment.trainer, "callbacks": [Slow(0.2)]})
    run, start = tmp_path / "run", time.monotonic()
    with caplog.at_level(logging.INFO, "pocketvision"):
        assert fit(slow, run, [find_config("quickstart")], words) is not None
    took, made = time.monotonic() - start, rates(run)
    assert took < 60 and 2 <= len(made) < 60, "400 steps would take 80 s"
    assert "The time is over after" in caplog.text and "could not find the monitored key" not in caplog.text
    assert made == sorted(made, reverse=True) and made[-1] < made[0]


def test_a_stopped_one_has_the_time_that_is_left(tmp_path: Path) -> None:
    words = [*SMALL, "minutes=10", "trainer.max_steps=6", "trainer.max_epochs=None"]
    experiment, _ = load_experiment(find_config("quickstart"), words)

    class Stop(L.Callback):
        def on_train_batch_start(self, trainer: L.Trainer, *arguments: Any) -> None:
            if trainer.global_step == 3:
                os.kill(os.getpid(), signal.SIGTERM)

    stopped = replace(experiment, trainer={**experiment.trainer, "callbacks": [Stop()]})
    with pytest.raises(StoppedError):
        fit(stopped, tmp_path / "run", [find_config("quickstart")], words, seconds_spent=100.0)
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"

    def spent() -> float:
        return float(torch.load(last, weights_only=True)["callbacks"]["TimeBudget"]["spent"])

    before = spent()
    assert 100 < before < 400
    assert resume(tmp_path / "run") is not None
    assert before < spent() < 500 and len(rates(tmp_path / "run")) == 6


@pytest.mark.parametrize(
    ("words", "sentence"), [(["minutes=0"], "minutes is 0"), (["minutes=soon"], "'soon'")]
)
def test_minutes_that_are_none(words: list[str], sentence: str, tmp_path: Path) -> None:
    experiment, _ = load_experiment(find_config("quickstart"), [*SMALL, *words])
    with pytest.raises(InputError, match=sentence):
        fit(experiment, tmp_path / "run", [find_config("quickstart")], words)
    assert not (tmp_path / "run").exists()
