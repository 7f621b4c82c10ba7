"""The one evaluation loop: predictions of a split -> metrics, results, pictures and a report."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, cast

import torch
from torch import nn

from pocketvision.core.drawing import save_image
from pocketvision.core.files import write_json
from pocketvision.core.progress import track
from pocketvision.core.resize import Image
from pocketvision.core.terminal import printable
from pocketvision.datasets.data_module import AnyData
from pocketvision.datasets.joint import JointRecords
from pocketvision.datasets.records.annotations import (
    AnyRecords,
    ClassificationRecords,
    DetectionRecords,
)
from pocketvision.evaluation.classification_evaluator import ClassificationEvaluator, ClassificationPredictor
from pocketvision.evaluation.detection_evaluator import DetectionEvaluator, DetectionPredictor
from pocketvision.evaluation.joint_evaluator import JointEvaluator, JointMetric, JointPredictor
from pocketvision.evaluation.report.document import Section, shown, table_of, write_report
from pocketvision.evaluation.segmentation_evaluator import SegmentationEvaluator, SegmentationPredictor
from pocketvision.metrics import AccuracyMetric, CocoMetric, IoUMetric
from pocketvision.metrics.bootstrap import LEVEL, NUM_RESAMPLES, Interval

AnyPredictor = ClassificationPredictor | DetectionPredictor | SegmentationPredictor | JointPredictor
"""A model of this package, or anything else with its ``class_names`` and ``predict``, or parts that have."""

_MAX_ROWS = 100


class Evaluator(Protocol):
    """Takes batches, gives metrics; keeps the first images for a picture.

    With a folder it looks deeper: the last four members are for that.
    """

    @property
    def metric(self) -> AccuracyMetric | CocoMetric | IoUMetric | JointMetric: ...

    def update(self, samples: Any) -> None:
        """Add a batch of the task that the records are for."""

    def compute(self) -> dict[str, Any]: ...

    def intervals(self) -> dict[str, Interval]: ...

    def write(self) -> None: ...

    def sheet(self) -> Image: ...

    def sections(self, metrics: dict[str, Any], samples: Any) -> list[Section]: ...


def make_evaluator(
    model: AnyPredictor, records: AnyRecords | JointRecords, folder: Path | None = None
) -> Evaluator:
    """The evaluator that fits the records; with ``folder`` it writes results there and looks deeper."""
    if isinstance(records, JointRecords):
        return JointEvaluator(cast(JointPredictor, model), records, make_evaluator, folder)
    if isinstance(records, ClassificationRecords):
        return ClassificationEvaluator(cast(ClassificationPredictor, model), records, folder)
    if isinstance(records, DetectionRecords):
        return DetectionEvaluator(cast(DetectionPredictor, model), records, folder)
    return SegmentationEvaluator(cast(SegmentationPredictor, model), records, folder)


def evaluate(
    model: AnyPredictor,
    data: AnyData,
    split: str,
    folder: Path,
    device: torch.device,
    subject: str = "the run's own weights",
    about: Sequence[Section] = (),
) -> dict[str, Any]:
    """Score a model, or what runs one, on ``split``.

    Metrics, results, a picture and a report are written to ``folder``; ``subject`` is what the report says
    was scored, ``about`` its last sections.

    Returns:
        The content of metrics.json: flat numbers in [0, 1] or None, ``per_class``, ``num_images``,
        ``split`` and ``seconds``; ``NAME_ci_low`` and ``NAME_ci_high`` are the ends of 95 % intervals from
        ``num_resamples`` bootstrap resamples of the images.
    """
    start = time.perf_counter()
    evaluator = make_evaluator(model, data.records(split), folder)
    if isinstance(model, nn.Module):
        model.eval().to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    loader = data.eval_dataloader(split)
    for samples in track(loader, len(loader), f"evaluating {split}", "batches"):
        evaluator.update(samples._replace(images=samples.images.to(device)))
    metrics = evaluator.compute()
    per_class = metrics.pop("per_class")
    for name, (low, high) in evaluator.intervals().items():
        metrics |= {f"{name}_ci_low": low, f"{name}_ci_high": high, "num_resamples": NUM_RESAMPLES}
    metrics |= {"split": split, "seconds": round(time.perf_counter() - start, 2), "per_class": per_class}
    write_json(folder / "metrics.json", metrics)
    evaluator.write()
    save_image(folder / "predictions.png", evaluator.sheet())
    sections = evaluator.sections(metrics, data.dataset(split, train=False).whole())
    write_report(folder / "report.html", subject, metrics, sections, about)
    return metrics


def metrics_table(metrics: dict[str, Any]) -> str:
    """Metrics as text: the totals with their intervals, then a line a class, for 100 classes at most."""
    totals = []
    for name, value in metrics.items():
        if isinstance(value, dict) or name.endswith(("_ci_low", "_ci_high")) or name == "num_resamples":
            continue
        low, high = metrics.get(f"{name}_ci_low"), metrics.get(f"{name}_ci_high")
        interval = "" if low is None else f"  ({shown(low)} to {shown(high)})"
        totals.append(f"{name:<16}{shown(value):>10}{interval}")
    if "num_resamples" in metrics:
        totals.append(
            f"in brackets: {LEVEL:.0%} intervals, {metrics['num_resamples']} resamples of the images"
        )
    rows = metrics["per_class"]
    shown_rows = {printable(name): row for name, row in list(rows.items())[:_MAX_ROWS]}
    head, *table = table_of(shown_rows, "class")
    widths = [max(len(row[i]) for row in (head, *table)) + 2 for i in range(len(head))]
    header, *lines = (
        row[0].ljust(widths[0])
        + "".join(f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True))
        for row in (head, *table)
    )
    if len(rows) > _MAX_ROWS:
        lines.append(f"... and {len(rows) - _MAX_ROWS} more in metrics.json")
    return "\n".join([*totals, "", header, *lines])
