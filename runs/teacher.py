"""The trained model that another one learns from."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pocketvision.core.errors import InputError
from pocketvision.models import Detector, Segmenter
from pocketvision.runs.ready_model import load_model

_Student = TypeVar("_Student", Detector, Segmenter)


def load_teacher(source: str | Path, student: _Student) -> _Student:
    """The model of a run folder or weights file, of the student's task and classes, without gradients.

    Raises:
        InputError: nothing is there, or it can't be read.
        ValueError: it is for another task or other pixels, or knows other classes.
    """
    if not Path(source).exists():
        raise InputError(f"There is no teacher {source}: give a run folder or a weights file.")
    teacher = load_model(source)
    kind = Detector if isinstance(student, Detector) else Segmenter
    if not isinstance(teacher, kind):
        said = type(teacher).__name__
        raise ValueError(f"{source} can't teach: it is a {said}, and the model a {kind.__name__}.")
    if teacher.class_names != student.class_names:
        raise ValueError(
            f"the teacher {source} knows {', '.join(map(str, teacher.class_names))}, in this order, and the "
            f"model learns {', '.join(map(str, student.class_names))}: train both on the same classes."
        )
    own, wanted = teacher.resize.pixels, student.resize.pixels
    if own != wanted:
        raise ValueError(
            f"the teacher {source} takes {own}, and the model {wanted}: train both on the same pictures."
        )
    return teacher.requires_grad_(False)
