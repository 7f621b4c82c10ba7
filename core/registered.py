"""What is registered, read from the code without importing torch: backbones, and the models for own data."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import Literal, get_args

from pocketvision.core.command import CONFIGS, shipped_configs
from pocketvision.core.errors import InputError

TaskName = Literal["detection", "segmentation", "classification"]

_DEFAULTS: dict[TaskName, str] = {
    "detection": "gfl",  # docs/results.md: a dense head, tiles
    "segmentation": "lraspp",
    "classification": "classifier",
}
"""The family for own data where none is asked for."""


@cache
def backbone_names() -> tuple[str, ...]:
    """The functions that build a backbone: lower-case names of ``backbones.__all__``, as ``mobilenet_v2``."""
    for node in _statements(CONFIGS.parent / "backbones" / "__init__.py"):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            names: list[str] = ast.literal_eval(node.value)
            return tuple(name for name in names if name.islower())
    raise LookupError("backbones/__init__.py has no __all__")


def short_name(backbone: str) -> str:
    """As configs and ``--model`` have it: ``v2`` for ``mobilenet_v2``."""
    return backbone.removeprefix("mobilenet_")


@cache
def families() -> dict[str, TaskName]:
    """The kinds of models for own data, as ``ssdlite``: what ``FAMILIES`` of ``configs/own_TASK*.py`` has."""
    return {
        family: task
        for task in get_args(TaskName)
        for config in _own_configs(task)
        for family in _families(config)
    }


def own_config(family: str) -> tuple[str, bool]:
    """Of one of :func:`families` the config that it is built from, and whether others are too.

    A head of a later date may come with a config of its own: ``own_detection_HEAD.py``.
    """
    config = next(name for name in _own_configs(families()[family]) if family in _families(name))
    return config, len(_families(config)) > 1


@cache
def own_models() -> dict[str, TaskName]:
    """What ``train --data --model`` takes, as ``ssdlite_v2``: every family on every backbone."""
    shorts = [short_name(name) for name in backbone_names()]
    return {f"{family}_{short}": task for family, task in families().items() for short in shorts}


def default_model(task: TaskName) -> str:
    """The model for a task where none is asked for: the family that won here, on its config's backbone."""
    family = _DEFAULTS[task]
    statements = _statements(shipped_configs()[own_config(family)[0]])
    function = next(n for n in statements if isinstance(n, ast.FunctionDef) and n.name == "model")
    arguments = function.args.args
    defaults = dict(zip(reversed([a.arg for a in arguments]), reversed(function.args.defaults), strict=False))
    return f"{family}_{ast.literal_eval(defaults['backbone'])}"


def task_of(model: str) -> TaskName:
    """The task of one of :func:`own_models`.

    Raises:
        InputError: there is no such model; lists those that there are.
    """
    if model not in own_models():
        raise InputError(f"There is no model '{model}': choose {', '.join(own_models())}.")
    return own_models()[model]


def model_of(config: str) -> str | None:
    """``ssdlite_v2`` for the config ``ssdlite_v2_coco``; None where the name says none."""
    return next((model for model in own_models() if config.startswith(f"{model}_")), None)


def _own_configs(task: TaskName) -> list[str]:
    """Names of the configs for own data of a task."""
    return [name for name in shipped_configs() if name.startswith(f"own_{task}")]


def _families(config: str) -> list[str]:
    """Keys of a config's dictionary ``FAMILIES``."""
    for node in _statements(shipped_configs()[config]):
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "FAMILIES":
            assert isinstance(node.value, ast.Dict)
            return [ast.literal_eval(key) for key in node.value.keys if key is not None]
    raise LookupError(f"the config {config} has no dictionary FAMILIES")


def _statements(file: Path) -> list[ast.stmt]:
    return ast.parse(file.read_text(encoding="utf-8")).body
