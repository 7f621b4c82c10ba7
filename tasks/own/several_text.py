"""The text of a config for data sets of several tasks: a variant of ``configs/own_joint.py``."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import is_dataclass
from functools import partial
from typing import Any

from pocketvision.core.anchors import ExplicitAnchors
from pocketvision.tasks.own.config_text import anchor_lines, code_of, docstring_of, stated_fields
from pocketvision.tasks.own.found import OwnData

_WIDTH = 110


def several_text(
    paragraphs: list[str], parts: Iterable[OwnData], settings: Mapping[str, Mapping[str, Any]]
) -> str:
    """A config file with ``paragraphs`` for a person; ``settings`` are the arguments of its four parts."""
    joint = "from pocketvision.datasets.joint import JointDataModule"
    imports = sorted({joint, *_imports(settings)}, key=lambda line: ("pocketvision" in line, line))
    lines = [
        *(
            docstring_of(paragraphs),
            "",
            "from dataclasses import replace",
            "from functools import partial",
            "",
        ),
        *(*imports, "from pocketvision.configs import own_joint as base", ""),
        *(line for own in parts for line in anchor_lines(own)),
        *("config = replace(", "    base.config,"),
        *_call("model", "base.model", settings["model"]),
        *_call("task", "base.config.task", settings["task"]),
        *_call("data", "JointDataModule", settings["data"]),
        *_rows("trainer=", settings["trainer"], 4),
        *("    class_names=None,  # as the data have them", '    recipe="fixed",', ")", ""),
    ]
    return "\n".join(lines)


def _call(name: str, function: str, keywords: Mapping[str, Any]) -> list[str]:
    rows = [row for key, value in keywords.items() for row in _rows(f"{key}=", value, 8)]
    return [f"    {name}=partial(", f"        {function},", *rows, "    ),"]


def _rows(start: str, value: Any, indent: int) -> list[str]:
    """A value after ``start`` and before a comma, over several lines where one is too short for it."""
    space, deeper = " " * indent, indent + 4
    line = f"{space}{start}{code_of(value)},"
    if isinstance(value, partial) and len(line) > _WIDTH:
        inner = [row for key, part in value.keywords.items() for row in _rows(f"{key}=", part, deeper)]
        return [f"{space}{start}partial(", f"{' ' * deeper}{value.func.__name__},", *inner, f"{space}),"]
    if isinstance(value, Mapping) and len(line) > _WIDTH:
        inner = [row for key, part in value.items() for row in _rows(f'"{key}": ', part, deeper)]
        return [f"{space}{start}{{", *inner, f"{space}}},"]
    return _wrapped(line, deeper)


def _wrapped(line: str, indent: int) -> list[str]:
    """A line broken behind commas, or as it is where a text in it has blanks that are to stay."""
    rows = textwrap.wrap(
        line, _WIDTH, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False
    )
    return rows if all(row.endswith((",", "(")) for row in rows) and "  " not in line.strip() else [line]


def _imports(value: Any) -> Iterator[str]:
    """Import statements for all that the code of a value names."""
    if isinstance(value, Mapping):
        for part in value.values():
            yield from _imports(part)
    elif isinstance(value, partial):
        yield f"from {value.func.__module__} import {value.func.__name__}"
        yield from _imports(value.keywords)
    elif is_dataclass(value) and not isinstance(value, type):
        yield f"from {type(value).__module__} import {type(value).__name__}"
        if not isinstance(value, ExplicitAnchors):  # they are written as a constant
            yield from _imports(stated_fields(value))
