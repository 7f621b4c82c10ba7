"""What predictions can be written as; without PyTorch, so that the command line answers at once."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pocketvision.core.errors import InputError

if TYPE_CHECKING:
    from pocketvision.deploy.predict.sources import Source

PREDICTION_FORMATS: dict[str, tuple[str, ...]] = {
    "images": ("detection", "segmentation", "classification", "joint"),
    "csv": ("detection", "segmentation", "classification"),
    "coco": ("detection", "joint"),
    "yolo": ("detection", "joint"),
    "masks": ("segmentation", "joint"),
    "cvat": ("detection", "segmentation"),
    "labelstudio": ("detection", "segmentation"),
    "labelme": ("detection", "segmentation"),
}
"""Name -> the tasks that have something to write in it; ``joint`` is several at once."""

LABEL_FORMATS = ("cvat", "labelstudio", "labelme")
"""Those that labeling tools import: they are about picture files."""


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


def tasks_of(names: Sequence[str], task: str, parts: Sequence[str]) -> dict[str, str]:
    """Which task each format holds: ``task``, or where that is several, the first of its ``parts`` that fits.

    Raises:
        InputError: none fits.
    """
    check_task(names, task)
    if task != "joint":
        return dict.fromkeys(names, task)
    found = {}
    for name in names:
        fitting = [part for part in parts if part in PREDICTION_FORMATS[name]]
        if not fitting:
            raise InputError(f"{name} can't hold what a model for {' and '.join(parts)} says: leave it out.")
        found[name] = task if name == "images" else fitting[0]
    return found


def check_task(names: Sequence[str], task: str) -> None:
    """Refuse formats that a model for ``task`` has nothing for.

    Raises:
        InputError: names the format and those that fit.
    """
    for name in names:
        if task not in PREDICTION_FORMATS[name]:
            fit = [other for other, tasks in PREDICTION_FORMATS.items() if task in tasks]
            raise InputError(f"{name} can't hold what a model for {task} says: choose from {', '.join(fit)}.")


def check_pictures(names: Sequence[str], sources: Sequence[Source]) -> None:
    """Refuse to make labels for what a labeling tool can't open beside them.

    Raises:
        InputError: a source is a video, a stream, an address or bytes; names it.
    """
    wanted = [name for name in names if name in LABEL_FORMATS]
    if wanted:
        check_picture_files(sources, wanted[0])


def check_picture_files(sources: Sequence[Source], purpose: str) -> None:
    """Raise :class:`InputError` for the first source that is no picture file."""
    for source in sources:
        if source.kind != "image" or source.path is None:
            raise InputError(
                f"{source.public_name} is no picture file, and {purpose} needs those: save its frames as "
                "pictures first, or leave it out."
            )
