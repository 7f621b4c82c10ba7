"""Models at other image sizes, for measurements: weights fit any size, exported files mostly one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import replace
from pathlib import Path

from pocketvision.core.errors import InputError
from pocketvision.core.structures import Size
from pocketvision.deploy.benchmark.latency import Subject
from pocketvision.deploy.runtimes.opening import open_runtime
from pocketvision.models import JointModel, SingleModel, VisionModel


def at_sizes(
    subjects: Sequence[Subject], sizes: Sequence[Size], skipped: Callable[[str], None]
) -> list[Subject]:
    """Each subject at each of ``sizes`` (height, width); ``skipped`` gets a sentence where one can't.

    Raises:
        InputError: not one subject takes one of the sizes, or a file can't be opened.
    """
    found: list[Subject] = []
    for subject in subjects:
        if not isinstance(subject.source, Path):
            found += [subject._replace(source=_resized(subject.source, size)) for size in sizes]
            continue
        artifact = open_runtime(subject.source).artifact
        for size in sizes:
            if artifact.has_dynamic_size or size == artifact.image_size:
                found.append(subject._replace(image_size=size))
            else:
                skipped(
                    f"skipped: {subject.name} takes {_text(artifact.image_size)} only, not {_text(size)}: "
                    "give its run or config instead."
                )
    if not found:
        raise InputError(
            f"Nothing here takes images of {', '.join(map(_text, sizes))}: leave --sizes out, or give a run "
            "or config instead of an exported file."
        )
    return found


def _resized(model: VisionModel, size: Size) -> VisionModel:
    """The model, with the same weights, for images of ``size``; anchors are placed anew for every size."""
    if isinstance(model, JointModel):
        parts = [_part_resized(model.part(task), size) for task in model.tasks]
        return JointModel(model.backbone, *parts).train(model.training)
    return _part_resized(model, size)


def _part_resized(model: SingleModel, size: Size) -> SingleModel:
    resized = copy(model)
    resized.resize = replace(model.resize, image_size=size)
    return resized


def _text(size: Size) -> str:
    return f"{size[0]}x{size[1]}"
