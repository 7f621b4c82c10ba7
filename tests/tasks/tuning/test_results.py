"""Covers tasks/tuning/results.py: the table, the picture and the line of every trial."""

from __future__ import annotations

import csv
import json
import shlex
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState
from PIL import Image

from pocketvision.tasks.tuning.plan import SweepPlan
from pocketvision.tasks.tuning.results import (
    Outcome,
    best_of,
    outcomes,
    progress_line,
    write_results,
)

PLAN = SweepPlan(
    "config/c.py", (), ("task.optimizer.lr=1e-4..1e-1", "task.schedule=cosine,poly"), 60, 30,
    ("--data", "my data"),
)  # fmt: skip


@pytest.fixture
def found(tmp_path: Path) -> list[Outcome]:
    """Two finished trials, one that was stopped early, one that failed, and one that waits."""
    study = optuna.create_study(direction="maximize")
    stories = [
        ("0.001", "cosine", TrialState.COMPLETE, 0.3, {1: 0.1, 2: 0.3}, ""),
        ("0.01", "poly", TrialState.COMPLETE, 0.5, {}, ""),
        ("0.1", "poly", TrialState.PRUNED, None, {1: 0.05}, ""),
        ("0.05", "cosine", TrialState.FAIL, None, {}, "The loss is\nnot finite"),
    ]
    for rate, schedule, state, score, scores, reason in stories:
        values = [f"task.optimizer.lr={rate}", f"task.schedule={schedule}"]
        attributes = {"metric": "AP", "values": values, "reason": reason}
        study.add_trial(
            optuna.create_trial(state=state, value=score, intermediate_values=scores, user_attrs=attributes)
        )
    study.enqueue_trial({})
    return outcomes(tmp_path, study)


def test_the_best_is_one_that_was_trained_to_its_end(found: list[Outcome]) -> None:
    assert [outcome.score for outcome in found] == [0.3, 0.5, 0.05, None]
    best = best_of(found)
    assert best is not None and best.number == 1
    assert best_of(found[2:]) is None


def test_lines(found: list[Outcome]) -> None:
    line = "trial 1: AP 0.5000, task.optimizer.lr=0.01 task.schedule=poly (best 0.5000 of trial 1, 2:05 left)"
    assert progress_line(found, found[1], 125.0) == line
    assert "trial 2: AP 0.0500, stopped early after epoch 1, task" in progress_line(found, found[2], 1)
    assert progress_line(found[3:], found[3], 0).startswith("trial 3: The loss is not finite, failed, task.")
    assert "(no trial has finished, 0 s left)" in progress_line(found[3:], found[3], 0)


def test_the_table_and_the_picture(found: list[Outcome], tmp_path: Path) -> None:
    write_results(tmp_path, found, PLAN)
    with (tmp_path / "trials.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["task.schedule"] for row in rows] == ["cosine", "poly", "poly", "cosine"]
    assert [row["state"] for row in rows] == ["finished", "finished", "stopped early", "failed"]
    record = json.loads((tmp_path / "trials.json").read_text())
    assert record["metric"] == "AP" and record["best"] == 1 and len(record["trials"]) == 4
    assert shlex.split(record["train"]) == [
        "pocketvision", "train", "--data", "my data", "task.optimizer.lr=0.01", "task.schedule=poly",
    ]  # fmt: skip
    with Image.open(tmp_path / "trials.png") as picture:
        assert picture.size[0] > 900, "two panels"
        assert len(picture.convert("RGB").getcolors(1 << 20) or ()) > 50
