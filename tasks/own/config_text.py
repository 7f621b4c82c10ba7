"""The text of a config for somebody's own data: a variant of ``configs/own_*.py``, to be read and edited."""

from __future__ import annotations

import textwrap
from typing import Any

from pocketvision.core.anchors import ExplicitAnchors
from pocketvision.tasks.own.found import OwnData
from pocketvision.tasks.own.recipe import TrainingRecipe
from pocketvision.tasks.own.timing import scoring_options

_WIDTH = 110
_WEIGHT_DECAY = {"detection": 0.05, "segmentation": 0.01, "classification": 0.05}


def config_text(own: OwnData, recipe: TrainingRecipe, weights: str | None, command: str) -> str:
    """A config file that says what was found and how each value was derived."""
    task = own.found.task
    return "\n".join(
        [
            _docstring(own, recipe, command),
            "",
            "from dataclasses import replace",
            "from functools import partial",
            "",
            "from torch.optim import AdamW",
            "",
            f"from pocketvision.configs import own_{task} as base",
            *(["from pocketvision.core.anchors import ExplicitAnchors"] if task == "detection" else []),
            f"from pocketvision.datasets import {own.found.data_module}",
            *(["from pocketvision.losses import SegmentationCrossEntropy"] if task == "segmentation" else []),
            "",
            *_anchors(own),
            "config = replace(",
            "    base.config,",
            *_call("model", "base.model", _model(own, recipe, weights)),
            *_call("task", "base.config.task", _task(own, recipe)),
            *_call("data", own.found.data_module, _data(own)),
            f"    trainer={_literal({'max_steps': recipe.num_steps, **scoring_options(recipe)})},",
            '    recipe="fixed",',
            ")",
            "",
        ]
    )


def _docstring(own: OwnData, recipe: TrainingRecipe, command: str) -> str:
    title = f"{own.model} for the data in {own.found.root.resolve()}, written by: {command}"
    paragraphs = [title, "", *own.lines(), "", *recipe.derivation]
    lines = [part for text in paragraphs for part in (textwrap.wrap(_plain(text), _WIDTH - 4) or [""])]
    return '"""' + "\n".join(lines) + '\n"""'


def _plain(text: str) -> str:
    """Text that can stand in a docstring and in UTF-8, whatever a file name holds."""
    readable = text.encode("utf-8", "backslashreplace").decode()
    return "".join(c if c.isprintable() else " " for c in readable).replace("\\", "\\\\").replace('"', "'")


def _anchors(own: OwnData) -> list[str]:
    anchors = own.fitted.get("anchors")
    if not isinstance(anchors, ExplicitAnchors):
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


def _call(name: str, function: str, keywords: dict[str, str]) -> list[str]:
    rows = [f"        {key}={value}," for key, value in keywords.items()]
    return [f"    {name}=partial(", f"        {function},", *rows, "    ),"]


def _literal(value: Any) -> str:
    """A Python literal, in double quotes where that needs no escapes."""
    text = repr(value)
    return text if '"' in text or "\\" in text else text.replace("'", '"')


def _model(own: OwnData, recipe: TrainingRecipe, weights: str | None) -> dict[str, str]:
    family, _, backbone = own.model.partition("_")
    values: dict[str, Any] = {"backbone": backbone, "image_size": own.image_size}
    if own.found.task == "segmentation":
        values |= {"head": family, "mode": own.fitted["mode"]}
    if own.found.task == "detection":
        values["max_detections"] = own.fitted["max_detections"]
    values |= {"norm_momentum": recipe.norm_momentum, "weights": weights}
    written = {key: _literal(value) for key, value in values.items()}
    return written | ({"anchors": "ANCHORS"} if "anchors" in own.fitted else {})


def _task(own: OwnData, recipe: TrainingRecipe) -> dict[str, str]:
    decay = _WEIGHT_DECAY[own.found.task]
    written = {"optimizer": f"partial(AdamW, lr={recipe.lr!r}, weight_decay={decay}, fused=True)"}
    if "class_weights" in own.fitted:
        written["loss"] = f"SegmentationCrossEntropy(class_weights={own.fitted['class_weights']!r})"
    values = {
        "reference_batch": recipe.batch_size,
        "backbone_lr_factor": recipe.backbone_lr_factor,
        "warmup_steps": recipe.warmup_steps,
        "ema_decay": recipe.ema_decay,
        "freeze_until": recipe.freeze_until,
        "freeze_norms": recipe.freeze_norms,
    }
    return written | {key: _literal(value) for key, value in values.items()}


def _data(own: OwnData) -> dict[str, str]:
    root = str(own.found.root.resolve())
    values = {**own.found.arguments, "root": root, "batch_size": own.batch_size}
    written = {key: _literal(value) for key, value in values.items()}
    augmentation = "base.AUGMENTATION"
    if own.found.task == "segmentation":
        augmentation = f"replace(base.AUGMENTATION, crop_size={own.fitted['crop_size']!r})"
    return written | {"augmentation": augmentation}
