"""The nets of a sweep: a config's model at every combination of values of its parameters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from pocketvision.core.config import Experiment, apply_overrides, parse_overrides, split_list
from pocketvision.core.errors import InputError
from pocketvision.core.progress import track
from pocketvision.costs.measure import measure_cost
from pocketvision.costs.reference_models import parse_image_size
from pocketvision.models import VisionModel
from pocketvision.runs.build import build_model
from pocketvision.runs.folder import load_experiment

IMAGE_SIZE, _NUM_CLASSES = "image_size", "num_classes"
PLACEHOLDER_NAMES = tuple(f"class{i}" for i in range(80))
"""For configs that take their classes from the data."""

Sweep = Mapping[str, Sequence[Any]]


@dataclass(frozen=True, eq=False)
class SweptNet:
    """A model of a sweep and what it costs for one image.

    ``arguments`` are what it has of the sweep, by the name of the parameter.
    """

    config: str
    arguments: Mapping[str, Any]
    model: VisionModel
    params: int
    madds: int

    @property
    def name(self) -> str:
        return " ".join([self.config, *(f"{key}={value_text(x)}" for key, x in self.arguments.items())])


def parse_sweep(words: Iterable[str]) -> dict[str, tuple[Any, ...]]:
    """``["width_mult=0.5,1.0", "image_size=160,512x1024"]`` -> the values of each parameter, each once.

    Raises:
        InputError: a word is no list of values, or a parameter comes twice.
    """
    sweep: dict[str, tuple[Any, ...]] = {}
    for word in words:
        key, equals, text = word.partition("=")
        name, parts = key.removeprefix("model."), [part.strip() for part in split_list(text)]
        if not (name and equals and all(parts)):
            raise InputError(
                f"'{word}' behind --sweep is no list of values: write width_mult=0.5,1.0, and name runs and "
                "configs before --sweep."
            )
        if name in sweep:
            raise InputError(f"--sweep has '{name}' twice: state all of its values in one list.")
        sweep[name] = tuple(dict.fromkeys(_value(name, part) for part in parts))
    return sweep


def _value(name: str, text: str) -> Any:
    value = parse_overrides([f"{name}={text}"])[name]
    if name == _NUM_CLASSES and not (type(value) is int and value > 0):
        raise InputError(f"--sweep has num_classes={text}: give numbers from 1.")
    return parse_image_size(value) if name == IMAGE_SIZE else value


def value_text(value: Any) -> str:
    """A value as it is typed: (160, 160) -> "160", (512, 1024) -> "512x1024"."""
    if isinstance(value, tuple) and len(value) == 2 and all(type(side) is int for side in value):
        return str(value[0]) if value[0] == value[1] else f"{value[0]}x{value[1]}"
    return str(value)


def swept_nets(
    configs: Sequence[Path], sweep: Sweep, class_names: Sequence[str | None] | None = None
) -> list[SweptNet]:
    """The nets of every config, with fresh weights, in inference; the last parameter changes fastest.

    They have ``num_classes`` classes where that is swept, else ``class_names``, the config's or 80.

    Raises:
        InputError: a config's model has no such parameter, or can't be built with a value.
    """
    experiments = [(config.stem, load_experiment(config, [])[0]) for config in configs]
    points = [dict(zip(sweep, values, strict=True)) for values in product(*sweep.values())]
    todo = [(name, experiment, point) for name, experiment in experiments for point in points]
    return [_net(*what, class_names) for what in track(todo, len(todo), "building", "nets")]


def _net(
    config: str, experiment: Experiment, point: Mapping[str, Any], class_names: Sequence[str | None] | None
) -> SweptNet:
    names = class_names or experiment.class_names or PLACEHOLDER_NAMES
    if _NUM_CLASSES in point:
        names = tuple(f"class{i}" for i in range(point[_NUM_CLASSES]))
    overrides = {f"model.{key}": value for key, value in point.items() if key != _NUM_CLASSES}
    experiment = apply_overrides(experiment, overrides)
    try:
        model = build_model(experiment, tuple(names)).eval()
        cost = measure_cost(model, model.resize.image_size, in_channels=model.resize.pixels.channels)
    except InputError:
        raise
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RuntimeError) as error:
        words = " ".join(f"{key}={value_text(value)}" for key, value in point.items())
        reason = " ".join(str(error).split()).rstrip(".")
        raise InputError(f"The model of {config} can't be built with {words}: {reason}.") from error
    return SweptNet(config, point, model, cost.params, cost.madds)
