"""What one forward pass for several tasks saves: the parts of a model are timed alone, beside it."""

from __future__ import annotations

from collections.abc import Sequence

from pocketvision.core.structures import Size
from pocketvision.deploy.benchmark.latency import Measurement, Subject
from pocketvision.models import JointModel

_Setting = tuple[str, int, int, Size]


def with_parts(subjects: Sequence[Subject]) -> list[Subject]:
    """Each subject, and behind a model of several tasks one for each of its parts with a backbone of its own.

    An exported file of several tasks has no parts that could run alone.
    """
    found: list[Subject] = []
    for subject in subjects:
        found.append(subject)
        if isinstance(subject.source, JointModel):
            model = subject.source
            found += [Subject(_alone(subject.name, task), model.alone(task)) for task in model.tasks]
    return found


def saved_lines(subjects: Sequence[Subject], rows: Sequence[Measurement]) -> list[str]:
    """A line for each measurement of a model of several tasks: its median beside the sum of its parts'."""
    tasks = {x.name: x.source.tasks for x in subjects if isinstance(x.source, JointModel)}
    medians = {(row.name, _setting(row)): row.median for row in rows}
    return [_line(row, tasks[row.name], medians) for row in rows if row.name in tasks]


def _line(row: Measurement, tasks: Sequence[str], medians: dict[tuple[str, _Setting], float]) -> str:
    alone = {task: medians[_alone(row.name, task), _setting(row)] for task in tasks}
    (height, width), total = row.image_size, sum(alone.values())
    parts = " + ".join(f"{task} alone {seconds * 1e3:.1f} ms" for task, seconds in alone.items())
    return (
        f"{row.name} on {row.backend}, threads {row.threads}, batch {row.batch_size}, {height}x{width}: one "
        f"forward pass for all {row.median * 1e3:.1f} ms, {row.median / total:.2f} of {parts}"
    )


def _alone(name: str, task: str) -> str:
    return f"{name}: {task} alone"


def _setting(row: Measurement) -> _Setting:
    """All that two measurements must have in common to be compared."""
    return row.backend, row.threads, row.batch_size, row.image_size
