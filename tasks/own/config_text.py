"""The text of a config for somebody's own data: a variant of ``configs/own_*.py``, to be read and edited."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import partial
from typing import Any

from pocketvision.core.anchors import ExplicitAnchors
from pocketvision.core.registered import own_config
from pocketvision.tasks.own.found import OwnData
from pocketvision.tasks.own.recipe import TrainingRecipe
from pocketvision.tasks.own.settings import own_settings

_WIDTH = 110


def config_text(own: OwnData, recipe: TrainingRecipe, weights: str | None, command: str) -> str:
    """A config file that says what was found and how each value was derived."""
    base, _ = own_config(own.model.partition("_")[0])
    settings = own_settings(own, recipe, weights)
    loss = settings.task.get("loss")
    has_anchors = own.fitted.anchors is not None and own.start is None
    changed = {"crop_size": own.fitted.crop_size, "fill": own.pixels.fill}
    words = "".join(f", {name}={value!r}" for name, value in changed.items() if value is not None)
    augmentation = f"replace(base.AUGMENTATION{words})" if words else "base.AUGMENTATION"
    return "\n".join(
        [
            _docstring(own, recipe, command),
            "",
            "from dataclasses import replace",
            "from functools import partial",
            "",
            "from torch.optim import AdamW",
            "",
            f"from pocketvision.configs import {base} as base",
            *(
                []
                if own.start is None
                else [f"from pocketvision.configs import {own.start.config} as source"]
            ),
            *(["from pocketvision.core.anchors import ExplicitAnchors"] if has_anchors else []),
            f"from pocketvision.datasets import {own.found.data_module}",
            *([] if loss is None else [f"from pocketvision.losses import {type(loss).__name__}"]),
            "",
            *(anchor_lines(own) if has_anchors else []),
            "config = replace(",
            "    base.config,",
            *_call("model", "base.model" if own.start is None else "source.model", settings.model),
            *_call("task", "base.config.task", settings.task),
            *_call("data", own.found.data_module, settings.data, f"augmentation={augmentation}"),
            f"    trainer={code_of(settings.trainer)},",
            '    recipe="fixed",',
            ")",
            "",
        ]
    )


def _docstring(own: OwnData, recipe: TrainingRecipe, command: str) -> str:
    title = f"{own.model} for the data in {own.found.root.resolve()}, written by: {command}"
    return docstring_of([title, "", *own.lines(), "", *recipe.derivation])


def docstring_of(paragraphs: Sequence[str]) -> str:
    """Lines for a person as a docstring."""
    lines = [part for text in paragraphs for part in (textwrap.wrap(_plain(text), _WIDTH - 4) or [""])]
    return '"""' + "\n".join(lines) + '\n"""'


def _plain(text: str) -> str:
    """Text that can stand in a docstring and in UTF-8, whatever a file name holds."""
    readable = text.encode("utf-8", "backslashreplace").decode()
    return "".join(c if c.isprintable() else " " for c in readable).replace("\\", "\\\\").replace('"', "'")


def anchor_lines(own: OwnData) -> list[str]:
    """The constant ``ANCHORS`` that :func:`code_of` names; nothing where there are none."""
    anchors = own.fitted.anchors
    if anchors is None:
        return []
    maps = [f"        ({', '.join(repr(shape) for shape in shapes)},)," for shapes in anchors.map_shapes]
    lines = [part for line in maps for part in textwrap.wrap(line, _WIDTH, subsequent_indent=" " * 9)]
    return [
        "# Relative (width, height) for stride 8, 16, 32 and 64.",
        "ANCHORS = ExplicitAnchors(",
        "    (",
        *lines,
        "    )",
        ")",
        "",
    ]


def _call(name: str, function: str, keywords: Mapping[str, object], *more: str) -> list[str]:
    rows = [f"        {word}," for word in (*(f"{key}={code_of(x)}" for key, x in keywords.items()), *more)]
    return [f"    {name}=partial(", f"        {function},", *rows, "    ),"]


def stated_fields(value: Any) -> dict[str, Any]:
    """The fields of a dataclass that are not as they are by default."""
    return {f.name: getattr(value, f.name) for f in fields(value) if not _is_default(value, f)}


def _is_default(value: object, field: Field[Any]) -> bool:
    default = field.default if field.default_factory is MISSING else field.default_factory()
    return bool(getattr(value, field.name) == default)


def code_of(value: object) -> str:
    """A value as code on one line: a literal in double quotes where that needs no escapes, else a call."""
    if isinstance(value, ExplicitAnchors):
        return "ANCHORS"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f'"{key}": {code_of(part)}' for key, part in value.items()) + "}"
    if isinstance(value, partial):
        options = "".join(f", {name}={code_of(option)}" for name, option in value.keywords.items())
        return f"partial({value.func.__name__}{options})"
    if is_dataclass(value) and not isinstance(value, type):
        stated = ", ".join(f"{name}={code_of(x)}" for name, x in stated_fields(value).items())
        return f"{type(value).__name__}({stated})"
    text = repr(value)
    return text if '"' in text or "\\" in text else text.replace("'", '"')
