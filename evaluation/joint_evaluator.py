"""Evaluation of a model of several tasks: each on its own data, one result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from pocketvision.core.page import Section
from pocketvision.core.resize import Image
from pocketvision.core.structures import AnySamples, task_of
from pocketvision.datasets.joint import JointRecords
from pocketvision.metrics.bootstrap import Interval

MEAN_SCORE = "mean_score"
METRICS = {"detection": "AP", "segmentation": "mIoU", "classification": "top1"}
"""What each task is scored with; :data:`MEAN_SCORE` is their mean."""
_GRAY = 128


class JointPredictor(Protocol):
    """What predicts for several tasks: what predicts for each of them."""

    class_names: tuple[str | None, ...]

    def part(self, task: str) -> Any: ...


class JointMetric:
    """The metrics of all tasks, for several processes."""

    def __init__(self, parts: Mapping[str, Any]) -> None:
        self.parts = dict(parts)

    def merge(self, other: JointMetric) -> None:
        """Add what another process has counted."""
        for task, metric in self.parts.items():
            metric.merge(other.parts[task])


class JointEvaluator:
    """Scores every task with its own evaluator; results of each go to a folder of its name."""

    def __init__(
        self,
        model: JointPredictor,
        records: JointRecords,
        make: Callable[..., Any],
        folder: Path | None = None,
    ) -> None:
        self.parts: dict[str, Any] = {}
        for task, part in records.parts.items():
            own = None if folder is None else folder / task
            if own is not None:
                own.mkdir(exist_ok=True)
            self.parts[task] = make(model.part(task), part, own)
        self.metric = JointMetric({task: part.metric for task, part in self.parts.items()})
        self.scored: dict[str, dict[str, Any]] = {}

    def update(self, samples: AnySamples) -> None:
        """Give a batch to the task that it is of."""
        self.parts[task_of(samples)].update(samples)

    def compute(self) -> dict[str, Any]:
        """The numbers of all tasks, classes as ``TASK/NAME``, and the mean of the tasks' main numbers."""
        self.scored = {task: part.compute() for task, part in self.parts.items()}
        scores = [metrics[METRICS[task]] or 0.0 for task, metrics in self.scored.items()]
        joint: dict[str, Any] = {MEAN_SCORE: sum(scores) / len(scores)}
        for metrics in self.scored.values():
            joint |= metrics
        return joint | {
            "num_images": sum(metrics["num_images"] for metrics in self.scored.values()),
            "per_class": {
                f"{task}/{name}": row
                for task, metrics in self.scored.items()
                for name, row in metrics["per_class"].items()
            },
        }

    def intervals(self) -> dict[str, Interval]:
        return {name: ends for part in self.parts.values() for name, ends in part.intervals().items()}

    def write(self) -> None:
        """Write what each task writes, into its folder."""
        for part in self.parts.values():
            part.write()

    def sheet(self) -> Image:
        """The pictures of one task below those of the other."""
        sheets = [part.sheet() for part in self.parts.values()]
        width = max(sheet.shape[1] for sheet in sheets)
        padding = [((0, 0), (0, width - sheet.shape[1]), (0, 0)) for sheet in sheets]
        return np.concatenate(
            [np.pad(sheet, pad, constant_values=_GRAY) for sheet, pad in zip(sheets, padding, strict=True)]
        )

    def sections(self, metrics: dict[str, Any], samples: Any) -> list[Section]:
        """The sections of every task, with its name in front; ``samples`` has those of each as ``parts``."""
        return [
            section._replace(title=f"{task.capitalize()}: {section.title}")
            for task, part in self.parts.items()
            for section in part.sections(self.scored[task], samples.parts[task])
        ]
