"""Overrides walk into partials, dataclasses and dicts, and change nothing in place."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketvision.core.config import (
    Experiment,
    apply_overrides,
    describe,
    flat,
    parameters,
    parse_overrides,
)
from pocketvision.core.errors import InputError


@dataclass(frozen=True)
class Coder:
    variance: float = 0.1


@dataclass(frozen=True)
class Loss:
    ratio: float = 3.0
    coder: Coder = field(default_factory=Coder)
    hidden: int = field(default=0, init=False)


def build_model(
    class_names: Sequence[str | None], width_mult: float = 1.0, stride: int = 32
) -> tuple[Any, ...]:
    return tuple(class_names), width_mult, stride


def build_task(
    model: Any,
    loss: Loss,
    optimizer: Any = None,
    default_loss: Loss = Loss(),
) -> tuple[Any, ...]:
    return model, loss, optimizer, default_loss


class Optimizer:
    def __init__(self, lr: float, momentum: float = 0.0) -> None:
        self.lr, self.momentum = lr, momentum


class Data:
    def __init__(self, root: str = "data", *, batch_size: int = 8) -> None:
        self.root, self.batch_size = root, batch_size


def experiment() -> Experiment:
    return Experiment(
        class_names=("cat", None),
        model=partial(build_model, width_mult=0.5),
        task=partial(build_task, loss=Loss(), optimizer=partial(Optimizer, lr=0.1, momentum=0.9)),
        data=partial(Data, root="here"),
        trainer={"max_epochs": 3},
    )


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("a.b=1", 1),
        ("a.b=1e-3", 1e-3),
        ("a.b=(320, 320)", (320, 320)),
        ("a.b=[1,2]", [1, 2]),
        ("a.b={'x': 1}", {"x": 1}),
        ("a.b=None", None),
        ("a.b=none", None),
        ("a.b=True", True),
        ("a.b=false", False),
        ("a.b='1'", "1"),
        ("a.b=/data/coco", "/data/coco"),
        ("a.b=x=y", "x=y"),
        ("a.b=", ""),
        ("a.b=16-mixed", "16-mixed"),
        ("a.b=C:\\data", "C:\\data"),
    ],
)
def test_values_are_literals_else_text(word: str, value: Any) -> None:
    (parsed,) = parse_overrides([word]).values()
    assert parsed == value and type(parsed) is type(value)


@settings(deadline=None, max_examples=200)
@given(st.text())
def test_any_text_is_a_value(text: str) -> None:
    assert list(parse_overrides([f"data.root={text}"])) == ["data.root"]


def test_a_literal_that_cannot_be_built_is_text() -> None:
    assert parse_overrides(["data.root={[1]}"]) == {"data.root": "{[1]}"}


@pytest.mark.parametrize("word", ["", "data.root", "=3", "--data.root"])
def test_what_is_no_override_is_refused(word: str) -> None:
    with pytest.raises(InputError, match=r"write part\.key=value"):
        parse_overrides([word])


def test_overrides_reach_every_kind_of_part() -> None:
    changed = apply_overrides(
        experiment(),
        {
            "seed": 7,
            "model.width_mult": 2.0,
            "model.stride": 16,
            "task.loss.ratio": 9.0,
            "task.loss.coder.variance": 0.5,
            "task.default_loss.coder.variance": 0.25,
            "task.optimizer.lr": 0.01,
            "data.batch_size": 4,
            "trainer.max_epochs": 1,
        },
    )
    assert changed.seed == 7 and changed.trainer == {"max_epochs": 1}
    assert changed.model(("a",)) == (("a",), 2.0, 16)
    model, loss, optimizer, default_loss = changed.task("model")
    assert (model, loss) == ("model", Loss(9.0, Coder(0.5)))
    assert default_loss == Loss(coder=Coder(0.25))
    assert (optimizer().lr, optimizer().momentum) == (0.01, 0.9)
    data = changed.data()
    assert (data.root, data.batch_size) == ("here", 4)


def test_a_part_that_is_no_partial_can_be_overridden() -> None:
    base = Experiment(model=build_model, task=build_task, data=Data)
    changed = apply_overrides(base, {"data.batch_size": 2, "model.width_mult": 0.25})
    assert changed.data().batch_size == 2
    assert changed.model(()) == ((), 0.25, 32)


def test_nothing_is_changed_in_place() -> None:
    base = experiment()
    before = copy.deepcopy((base.trainer, base.model.keywords, base.task.keywords, base.data.keywords))
    apply_overrides(base, {"trainer.max_epochs": 9, "model.width_mult": 9, "task.loss.coder.variance": 9})
    assert base.trainer == before[0]
    assert (base.model.keywords, base.data.keywords) == (before[1], before[3])
    assert base.task.keywords["loss"] == Loss()


@pytest.mark.parametrize(
    ("key", "sentence"),
    [
        (
            "modle.width_mult",
            r"'modle.width_mult': Did you mean 'model'\? an experiment has: .*data.*trainer",
        ),
        ("model.widht_mult", r"Did you mean 'width_mult'\? 'model' has: stride, width_mult\."),
        ("task.loss.coder.varience", r"Did you mean 'variance'\? 'task.loss.coder' has: variance\."),
        ("task.loss.hidden", r"'task.loss' has: coder, ratio\."),
        ("data.zzz", r"'data.zzz': 'data' has: batch_size, root\."),
        ("trainer.max_epoch", r"Did you mean 'max_epochs'\? 'trainer' has: .*max_epochs"),
        ("data.root.deeper", r"'data.root' has nothing to set inside"),
        ("model.class_names", r"'model' has: stride, width_mult"),
    ],
)
def test_unknown_names_list_the_known_and_the_nearest(key: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        apply_overrides(experiment(), {key: 1})


def test_trainer_may_take_more_names_than_the_config_states() -> None:
    keys = ("max_epochs", "devices", "accelerator")
    changed = apply_overrides(experiment(), {"trainer.devices": 4}, trainer_keys=keys)
    assert changed.trainer == {"max_epochs": 3, "devices": 4}
    with pytest.raises(InputError, match=r"Did you mean 'devices'\? 'trainer' has: accelerator, devices"):
        apply_overrides(experiment(), {"trainer.device": 4}, trainer_keys=keys)
    with pytest.raises(InputError, match="'data' has"):
        apply_overrides(experiment(), {"data.devices": 4}, trainer_keys=keys)


def test_parameters_of_every_kind() -> None:
    assert parameters({"a": 1}) == {"a": 1}
    assert parameters(Loss()) == {"ratio": 3.0, "coder": Coder()}
    assert parameters(Data) == {"root": "data", "batch_size": 8}
    assert parameters(partial(build_model, width_mult=0.5)) == {"width_mult": 0.5, "stride": 32}
    assert parameters(3) == {}


def test_a_builtin_without_a_signature_has_the_keywords_it_was_given() -> None:
    assert parameters(partial(dict, lr=0.1)) == {"lr": 0.1}


def test_describe_shows_every_value_once_a_line() -> None:
    lines = describe(experiment()).splitlines()
    assert lines[0] == "Experiment(" and lines[-1] == ")"
    text = [line.strip() for line in lines]
    for line in (
        "model=build_model(", "width_mult=0.5,", "stride=32,", "loss=Loss(", "variance=0.1,", "lr=0.1,",
        "root='here',", "batch_size=8,", "trainer=dict(", "max_epochs=3,", "class_names=('cat', None),",
        "seed=0,",
    ):  # fmt: skip
        assert text.count(line) >= 1, line
    depth = {line.strip(): len(line) - len(line.lstrip()) for line in lines}
    assert depth["loss=Loss("] == 8 and depth["ratio=3.0,"] == 12


def test_describe_shows_an_override() -> None:
    assert "variance=0.75," in describe(apply_overrides(experiment(), {"task.loss.coder.variance": 0.75}))


def test_values_by_the_names_of_their_overrides() -> None:
    values = flat(experiment())
    assert values["task.optimizer"] == "Optimizer" and values["task.optimizer.lr"] == 0.1
    assert values["task.loss.coder.variance"] == 0.1 and values["class_names"] == "('cat', None)"
    assert values["data.batch_size"] == 8 and values["trainer.max_epochs"] == 3 and "trainer" not in values
    numbers = {key: value for key, value in values.items() if not isinstance(value, str)}
    assert apply_overrides(experiment(), numbers) is not None, "every name is one that can be overridden"
