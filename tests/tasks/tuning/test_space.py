"""Covers tasks/tuning/space.py: what is a range, a list and a value, and what is drawn of them."""

from __future__ import annotations

import optuna
import pytest

from pocketvision.configs.quickstart import config
from pocketvision.core.errors import InputError
from pocketvision.tasks.tuning.space import Choices, Range, drawn, parse_space, stated_values

WORDS = [
    "task.optimizer.lr=1e-4..1e-2", "data.batch_size=2..64", "task.ema_decay=0.0..0.9",
    "model.image_size=(96,96),(160, 160)", "data.root=../data", "task.schedule=cosine,poly",
    "model.anchors=[1,2]",
]  # fmt: skip


def test_words() -> None:
    space, fixed = parse_space(WORDS)
    assert fixed == ["data.root=../data", "model.anchors=[1,2]"]
    assert space == {
        "task.optimizer.lr": Range(1e-4, 1e-2),
        "data.batch_size": Range(2, 64),
        "task.ema_decay": Range(0.0, 0.9),
        "model.image_size": Choices(("(96,96)", "(160, 160)")),
        "task.schedule": Choices(("cosine", "poly")),
    }
    assert str(space["data.batch_size"]) == "2 to 64 (whole numbers, log)"
    assert str(space["task.ema_decay"]) == "0 to 0.9 (linear)"


@pytest.mark.parametrize(
    ("low", "high", "is_log"),
    [
        (1e-4, 1e-3, True),
        (1, 10, True),
        (1, 9, False),
        (0, 100, False),
        (-1.0, 1.0, False),
        (0.2, 1.9, False),
    ],
)
def test_the_logarithm_is_for_positive_ends_a_decade_apart(low: float, high: float, is_log: bool) -> None:
    assert Range(low, high).is_log is is_log


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["a=1"], "Say what to search"),
        (["a=1..x"], "a=1..x is no range: write a=LOW..HIGH"),
        (["a=..2"], "is no range"),
        (["a=2..1"], "the lower first"),
        (["a=1..1e999"], "is no range"),
        (["a=1,,2"], "a=1,,2 has an empty value"),
        (["a=1..2", "a=3"], "'a' is given twice"),
        (["rubbish"], "'rubbish' is not an override"),
    ],
)
def test_what_is_neither(words: list[str], sentence: str) -> None:
    with pytest.raises(InputError) as error:
        parse_space(words)
    assert sentence in str(error.value)


def test_drawn_values_are_overrides_within_the_space() -> None:
    space, _ = parse_space(WORDS)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    logs = []
    for _ in range(60):
        trial = study.ask()
        values = dict(drawn(space, trial))
        assert dict(drawn(space, trial)) == values, "the same trial has the same values"
        assert 1e-4 <= float(values["task.optimizer.lr"]) <= 1e-2 and len(values["task.optimizer.lr"]) <= 9
        assert 2 <= int(values["data.batch_size"]) <= 64
        assert values["model.image_size"] in ("(96,96)", "(160, 160)")
        logs.append(float(values["task.optimizer.lr"]) < 1e-3)
    assert 15 < sum(logs) < 45, "half of them lie in each decade"


def test_the_configs_own_values_are_known_as_they_were_typed() -> None:
    space, _ = parse_space([*WORDS, "seed=1..5", "task.warmup_steps=0..200"])
    known = {"task.optimizer.lr": 4e-3, "data.batch_size": 16, "model.image_size": "(160, 160)"}
    expected = {**known, "task.schedule": "cosine", "task.warmup_steps": 100}
    assert stated_values(space, config) == expected, "ema_decay is None and the seed 0: not searched"
