"""What is said of a run that has so many minutes is what will happen."""

from __future__ import annotations

import re

import pytest

from pocketvision.core.command import find_config
from pocketvision.core.config import Experiment
from pocketvision.core.errors import InputError
from pocketvision.runs.folder import load_experiment
from pocketvision.tasks.own import timing
from pocketvision.tasks.own.timing import (
    Speed,
    auto_recipe,
    minutes_of_training,
    minutes_overrides,
    scoring_options,
)


def quickstart(*words: str) -> Experiment:
    return load_experiment(find_config("quickstart"), ["data.num_train=160", "data.batch_size=16", *words])[0]


def measured(monkeypatch: pytest.MonkeyPatch, step: float, scoring: float) -> Speed:
    speed = Speed(step, scoring, 10)
    monkeypatch.setattr(timing, "measure", lambda experiment, model, data: speed)
    return speed


@pytest.mark.parametrize("minutes", [0.3, 1.0, 1.5, 3.0, 5.0, 10.0, 100.0])
@pytest.mark.parametrize("scoring", [1.0, 4.0, 15.0])
def test_scorings_happen_as_often_as_is_said(
    minutes: float, scoring: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """5 times was 3, and once was never where there was less than an epoch."""
    speed = measured(monkeypatch, 1.0, scoring)
    recipe = auto_recipe(quickstart(), minutes)
    options, epochs = scoring_options(recipe), recipe.num_steps // 10
    times = 0 if "limit_val_batches" in options else epochs // options["check_val_every_n_epoch"]
    said = re.search(r"(\w+)(?: times)? while training", "\n".join(recipe.derivation))
    assert said is not None and {"not": "0", "once": "1"}.get(said[1], said[1]) == str(times)
    assert times <= 5 and times * scoring <= 0.15 * 60 * minutes
    assert recipe.minutes == minutes_of_training(minutes, speed)
    assert recipe.num_steps + times * scoring <= 60 * recipe.minutes + 1


def test_a_config_that_ends_before_its_first_scoring_is_scored_at_the_end_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    measured(monkeypatch, 1.0, 0.5)
    words, line = minutes_overrides(quickstart(), 0.1)
    assert "trainer.limit_val_batches=0" in words and "leave time for" in line
    words, _ = minutes_overrides(quickstart(), 1.0)
    assert "trainer.check_val_every_n_epoch=5" in words, "it says every 9th, of 5"
    words, line = minutes_overrides(quickstart(), 100.0)
    assert [word.partition("=")[0] for word in words] == ["minutes"] and "180 steps fit" in line


@pytest.mark.parametrize("started", [0.0, 30.0])
def test_what_is_left_is_planned(started: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """136 steps were said of 18 seconds, of which 12 were over: 7 were made, and no scoring."""
    speed = measured(monkeypatch, 1.0, 1.0)
    monkeypatch.setattr(timing.time, "monotonic", lambda: 30.0)
    words, _ = minutes_overrides(quickstart(), 1.0, started=started)
    (steps,) = (int(word.partition("=")[2]) for word in words if word.startswith("trainer.max_steps="))
    recipe = auto_recipe(quickstart(), 1.0, started=started)
    ending = 60 * minutes_of_training(1.0, speed)  # counted from the start as well
    for planned in (steps, recipe.num_steps):
        assert 0.7 * ending < planned + 30 - started <= ending + 1
    with pytest.raises(InputError, match="too short: getting ready takes 30 s, scoring 1 s, a step 1 s"):
        auto_recipe(quickstart(), 0.4, started=0.0)


def test_time_that_is_too_short(monkeypatch: pytest.MonkeyPatch) -> None:
    speed = measured(monkeypatch, 1.0, 40.0)
    with pytest.raises(InputError, match="too short"):
        auto_recipe(quickstart(), 0.5)
    assert minutes_of_training(0.7, speed) > 0
