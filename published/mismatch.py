"""Weights that do not mean in a model what they meant where they were trained are refused."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pocketvision.core.errors import InputError
from pocketvision.models import VisionModel

PREPROCESSING = ("mean", "std", "padding")
_MEANING = ("task", "score_function", "anchors", "coder", "norm_eps", *PREPROCESSING)
_RESIZE = ("mode", "interpolation", "antialias")


def check_passport(model: VisionModel, passport: Mapping[str, Any], path: Path) -> None:
    """Refuse weights that were trained with other preprocessing or meaning.

    Classes and sizes may differ; the way of resizing too where the classes do: such weights are only
    a start.

    Raises:
        InputError: the first field that differs, with both values.
    """
    own = json.loads(json.dumps(model.passport()))
    refuse_other(own, passport, path)
    theirs = passport.get("resize")
    if isinstance(theirs, Mapping) and passport.get("class_names") == own["class_names"]:
        kinds = [{f"resize {key}": resize.get(key) for key in _RESIZE} for resize in (own["resize"], theirs)]
        refuse_other(kinds[0], {key: value for key, value in kinds[1].items() if value is not None}, path)


def refuse_other(own: Mapping[str, Any], stated: Mapping[str, Any], path: Path) -> None:
    """Raise :class:`InputError` for the first field of ``stated`` that differs from the model's ``own``."""
    for key in (*_MEANING, *(f"resize {part}" for part in _RESIZE)):
        if key in stated and key in own and differs(stated[key], own[key]):
            raise InputError(
                f"{path} was trained with {key} {stated[key]}, this model has {own[key]}: "
                "use the config and overrides of its training."
            )


def differs(a: Any, b: Any) -> bool:
    """Whether two values of a passport differ, numbers by more than float32 rounds them."""
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) != len(b) or any(differs(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, float | int) and isinstance(b, float | int):
        return not math.isclose(a, b, rel_tol=1e-5)
    return bool(a != b)
