"""What predictions can be written as; without PyTorch, so that the command line answers at once."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from pocketvision.core.errors import InputError

PREDICTION_FORMATS: dict[str, tuple[str, ...]] = {
    "images": ("detection", "segmentation", "classification"),
    "csv": ("detection", "segmentation", "classification"),
    "coco": ("detection",),
    "yolo": ("detection",),
    "masks": ("segmentation",),
}
"""Name -> the tasks that have something to write in it."""


def parse_formats(text: str) -> tuple[str, ...]:
    """``"images,coco"`` -> their names.

    Raises:
        InputError: there is no such format.
    """
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    for name in names or ("",):
        if name not in PREDICTION_FORMATS:
            near = difflib.get_close_matches(name, PREDICTION_FORMATS, n=1)
            hint = f"Did you mean '{near[0]}'? " if near else ""
            raise InputError(
                f"There is no format '{name}' for predictions. {hint}"
                f"Choose from {', '.join(PREDICTION_FORMATS)}."
            )
    return names


def check_task(names: Sequence[str], task: str) -> None:
    """Refuse formats that a model for ``task`` has nothing for.

    Raises:
        InputError: names the format and those that fit.
    """
    for name in names:
        if task not in PREDICTION_FORMATS[name]:
            fit = [other for other, tasks in PREDICTION_FORMATS.items() if task in tasks]
            raise InputError(f"{name} can't hold what a model for {task} says: choose from {', '.join(fit)}.")
