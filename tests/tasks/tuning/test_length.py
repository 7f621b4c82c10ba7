"""Covers tasks/tuning/length.py: so many trials fit into the time as are asked for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pocketvision.configs.quickstart import config
from pocketvision.core.config import parse_overrides
from pocketvision.core.errors import InputError
from pocketvision.runs.folder import override
from pocketvision.tasks.own.timing import Speed
from pocketvision.tasks.tuning import length
from pocketvision.tasks.tuning.length import trial_length

TINY = override(
    config, ["data.num_train=4", "data.num_val=2", "data.batch_size=2", "model.image_size=(64,64)"]
)
LONG = replace(TINY, trainer={"max_epochs": 1000})


@pytest.fixture(autouse=True)
def speed(monkeypatch: pytest.MonkeyPatch) -> Speed:
    """A step takes 0.1 s, a scoring 1 s, an epoch 5 s."""
    found = Speed(0.1, 1.0, 50)
    monkeypatch.setattr(length, "measure", lambda *_: found)
    return found


@pytest.mark.parametrize("seconds", [20.0, 37.0, 60.0, 600.0])
def test_a_trial_takes_its_time_with_its_scorings(seconds: float, speed: Speed) -> None:
    limits = parse_overrides(trial_length(LONG, (), seconds, None)[0])
    epochs, between = limits["trainer.max_epochs"], limits["trainer.check_val_every_n_epoch"]
    assert 2 <= epochs // between <= 5 and limits["trainer.max_steps"] == -1
    took = epochs * 5.0 + (1 + epochs // between) * 1.0
    assert seconds - 8 <= took + 0.1 * seconds <= seconds + 1


def test_a_short_trial_is_scored_once() -> None:
    limits, line = trial_length(LONG, (), 5.0, None)
    assert limits == ["trainer.max_steps=35", "trainer.limit_val_batches=0"]
    assert "too few to stop poor ones early" in line


def test_what_is_stated_or_shorter_is_kept_to() -> None:
    assert trial_length(LONG, ["trainer.max_steps", "seed"], 5.0, None)[0] == []
    limits, line = trial_length(replace(TINY, trainer={"max_steps": 20}), (), 60.0, None)
    assert limits == [] and "as long as the config says" in line


def test_no_time() -> None:
    with pytest.raises(InputError, match=r"A trial of 1 s is too short.* more --minutes or fewer --trials"):
        trial_length(LONG, (), 1.0, None)
