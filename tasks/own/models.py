"""What ``--model`` takes: the families and backbones of the shipped configs for own data."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import get_args

from pocketvision.core.command import shipped_configs
from pocketvision.core.errors import InputError
from pocketvision.datasets.formats.detect import Task


@cache
def own_models() -> dict[str, Task]:
    """Names such as ``ssdlite_v2``, and what they are for."""
    return {
        f"{family}_{backbone}": task
        for task in get_args(Task)
        for backbone in _keys(shipped_configs()[f"own_{task}"], "BACKBONES")
        for family in _keys(shipped_configs()[f"own_{task}"], "FAMILIES")
    }


def default_model(task: Task) -> str:
    """The model for a task where none is asked for: its config's first family, and default backbone."""
    config = shipped_configs()[f"own_{task}"]
    function = next(n for n in _statements(config) if isinstance(n, ast.FunctionDef) and n.name == "model")
    arguments = function.args.args
    defaults = dict(zip(reversed([a.arg for a in arguments]), reversed(function.args.defaults), strict=False))
    return f"{_keys(config, 'FAMILIES')[0]}_{ast.literal_eval(defaults['backbone'])}"


def task_of(model: str) -> Task:
    """The task of one of :func:`own_models`.

    Raises:
        InputError: there is no such model; lists those that there are.
    """
    if model not in own_models():
        raise InputError(f"There is no model '{model}': choose {', '.join(own_models())}.")
    return own_models()[model]


def _keys(config: Path, name: str) -> list[str]:
    """Keys of a dictionary in a config."""
    for node in _statements(config):
        target = node.target if isinstance(node, ast.AnnAssign) else None
        if isinstance(target, ast.Name) and target.id == name:
            assert isinstance(node, ast.AnnAssign) and isinstance(node.value, ast.Dict)
            return [ast.literal_eval(key) for key in node.value.keys if key is not None]
    raise LookupError(f"{config} has no dictionary {name}")


def _statements(config: Path) -> list[ast.stmt]:
    """What a config says, read without running it: that would import torch."""
    return ast.parse(config.read_text(encoding="utf-8")).body
