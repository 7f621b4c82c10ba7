"""A run that Ctrl-C stops, beside one that nothing stops."""

from __future__ import annotations

import csv
import signal
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import lightning as L
import pytest
import torch

from pocketvision.core.command import find_config
from pocketvision.core.errors import StoppedError
from pocketvision.core.weights import read_state_dict
from pocketvision.runs.folder import load_experiment
from pocketvision.tasks.fit import fit, resume

STOP_AT = 3

Rows = list[dict[str, str]]


class Stopping(L.Callback):
    """Ctrl-C at a step."""

    def on_train_batch_end(self, trainer: L.Trainer, *_: object) -> None:
        if trainer.global_step == STOP_AT:
            signal.raise_signal(signal.SIGINT)


@pytest.fixture
def rows_of() -> Callable[[Path], Rows]:
    """The rows of a run's curves that have a loss."""

    def read(run: Path) -> Rows:
        with (run / "metrics.csv").open() as file:
            return [row for row in csv.DictReader(file) if row["train/loss"]]

    return read


@pytest.fixture
def rows_of_resumed(
    tmp_path: Path, rows_of: Callable[[Path], Rows]
) -> Callable[[Sequence[str]], tuple[Rows, Rows]]:
    """Trains ``street_v2`` without a break, and stopped at step 3 and resumed, to equal weights.

    Gives the rows of the resumed one, then those of the other.
    """

    def train(words: Sequence[str]) -> tuple[Rows, Rows]:
        experiment, files = load_experiment(find_config("street_v2"), words)
        whole, broken = tmp_path / "whole", tmp_path / "broken"
        fit(experiment, whole, files, words)
        stopping = replace(experiment, trainer={**experiment.trainer, "callbacks": [Stopping()]})
        with pytest.raises(StoppedError):
            fit(stopping, broken, files, words)
        resume(broken)
        for name, value in read_state_dict(whole / "weights.safetensors").items():
            assert torch.equal(value, read_state_dict(broken / "weights.safetensors")[name]), name
        return rows_of(broken), rows_of(whole)

    return train
