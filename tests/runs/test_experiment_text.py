"""An experiment of a notebook becomes a config that makes the same one."""

from __future__ import annotations

import enum
import linecache
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from torch.optim import SGD

from pocketvision.configs import lraspp_v2_camvid, own_detection_gfl, quickstart, ssdlite_v2_bccd
from pocketvision.core.config import Experiment, flat
from pocketvision.core.errors import InputError
from pocketvision.runs.experiment_text import experiment_text
from pocketvision.runs.folder import load_experiment

CELL = """
import torch
from functools import partial as part
from pocketvision.configs import quickstart
from pocketvision.losses import SSDLoss as Loss
from torch.optim import AdamW

RATE = {"start": 2e-3}

class Halved(Loss):
    def __call__(self, output, targets):
        return {name: scale(value) for name, value in super().__call__(output, targets).items()}

def scale(value: Undefined) -> Undefined:
    return value * torch.tensor(0.5) * RATE["start"]

def model(class_names, image_size=(96, 96)):
    return quickstart.model(class_names, image_size=image_size)
"""


class Color(enum.Enum):
    """Of a part."""

    RED = 1


@dataclass(frozen=True)
class Part:
    """A part with every kind of value."""

    value: Any = None


@pytest.fixture
def cell(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Names of a cell, run as a notebook runs it."""
    module = ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", module)
    file = "/tmp/ipykernel_1/1.py"
    linecache.cache[file] = (len(CELL), None, CELL.splitlines(keepends=True), file)
    exec(compile(CELL, file, "exec"), vars(module))
    return vars(module)


def again(experiment: Experiment, folder: Path) -> Experiment:
    file = folder / "experiment.py"
    file.write_text(experiment_text(experiment), encoding="utf-8")
    return load_experiment(file, ())[0]


@pytest.mark.parametrize("config", [quickstart, ssdlite_v2_bccd, lraspp_v2_camvid, own_detection_gfl])
def test_shipped_experiments_are_made_again(config: Any, tmp_path: Path) -> None:
    changed = replace(config.config, seed=3, trainer={"max_epochs": 2, "limit_train_batches": 0.5})
    assert flat(again(changed, tmp_path)) == flat(changed)


def test_what_a_cell_defines_is_copied_with_what_it_uses(cell: dict[str, Any], tmp_path: Path) -> None:
    base = quickstart.config
    experiment = replace(
        base,
        model=partial(cell["model"], image_size=(64, 96)),
        task=partial(base.task, loss=cell["Halved"](negative_ratio=2)),
    )
    made = again(experiment, tmp_path)
    assert flat(made) == flat(experiment)
    model = made.model(("cat",))
    assert model.resize.image_size == (64, 96)
    loss = made.task.keywords["loss"]  # type: ignore[attr-defined]
    assert type(loss) is not cell["Halved"] and loss.negative_ratio == 2
    scale = loss.__call__.__globals__["scale"]
    assert float(scale(10)) == pytest.approx(0.01)


def test_every_kind_of_value(tmp_path: Path) -> None:
    values: list[Any] = [
        Color.RED, Path("a") / "b'c", float("inf"), (1,), (), [], {2}, {"a b": (None, b"\x00")}, Size,
        Path.cwd,
    ]  # fmt: skip
    experiment = replace(quickstart.config, task=partial(dict, parts=values, more=Part(Part(1.5))))
    words = again(experiment, tmp_path).task.keywords  # type: ignore[attr-defined]
    assert words["parts"][1:] != [] and words["parts"][1:8] == values[1:8]
    assert words["parts"][0].name == "RED" and words["parts"][9]() == Path.cwd()
    assert words["more"].value.value == 1.5


class Size(tuple[int, int]):
    """A class of this file."""


def test_two_parts_of_one_name_are_kept_apart(tmp_path: Path) -> None:
    experiment = replace(quickstart.config, task=partial(dict, one=lraspp_v2_camvid.model, optimizer=SGD))
    made = again(experiment, tmp_path)
    assert made.task.keywords["one"].__module__.endswith("lraspp_v2_camvid")  # type: ignore[attr-defined]
    assert made.model.func.__module__.endswith("quickstart")  # type: ignore[attr-defined]


def local() -> Callable[[], None]:
    def inner() -> None:
        pass

    return inner


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (lambda: 1, "task.x: it is a lambda"),
        (local(), "task.x: it is inner, which is made inside a function"),
        (object(), "task.x: it is a object"),
        (partial(dict, y=object()), "task.x.y"),
    ],
)
def test_what_has_no_code_is_named(value: Any, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        experiment_text(replace(quickstart.config, task=partial(dict, x=value)))
