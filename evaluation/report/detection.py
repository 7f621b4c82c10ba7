"""The report's sections on a detector."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from pocketvision.core.structures import BoxTarget, Detections
from pocketvision.evaluation.originals import Samples, original_image
from pocketvision.evaluation.report.document import Section
from pocketvision.evaluation.report.figures import bars, confusion_picture, recall_curves
from pocketvision.evaluation.report.sheets import detection_sheet, fit_tile
from pocketvision.metrics import CocoMetric
from pocketvision.metrics.detection_analysis import ImageCounts

NUM_WORST, NUM_BEST = 8, 4

_ERRORS = {
    "class": "right place, wrong class",
    "location": "right class, IoU of 0.1 to 0.5",
    "both": "wrong class and IoU of 0.1 to 0.5",
    "duplicate": "found already",
    "background": "nothing there",
    "missed": "not found, and no detection that a repair would turn into it",
}


def detection_sections(
    metric: CocoMetric,
    samples: Samples,
    metrics: dict[str, Any],
    analysis: dict[str, Any],
    counts: ImageCounts,
    thresholds: npt.NDArray[np.float64],
) -> list[Section]:
    """Curves, classes, errors, confusion, and the worst and best images."""
    errors, confusion = analysis["errors"], analysis["confusion"]
    rows = [(name, str(row["count"]), f"{row['dAP50']:.4f}", _ERRORS[name]) for name, row in errors.items()]
    return [
        Section(
            "Precision and recall",
            "At IoU 0.5. As in COCO's AP, the precision at a recall is the best at it or any higher one.",
            picture=recall_curves(analysis["precision_at_recall_0_to_1"]),
        ),
        Section("AP by class", picture=bars({k: v["AP"] for k, v in metrics["per_class"].items()})),
        Section(
            "What costs AP",
            "dAP50: what AP50 would gain if this kind of error alone were repaired (TIDE, arXiv:2008.08115).",
            [("error", "count", "dAP50", "what it is"), *rows],
            bars({name: row["dAP50"] for name, row in errors.items()}, None),
        ),
        Section(
            "What is taken for what",
            "At IoU 0.5 and each class's best threshold. Last column: missed; last row: nothing there.",
            picture=confusion_picture(np.array(confusion["boxes"]), confusion["names"]),
        ),
        *_extremes(metric, samples, counts, thresholds),
    ]  # fmt: skip


def _extremes(
    metric: CocoMetric, samples: Samples, counts: ImageCounts, thresholds: npt.NDArray[np.float64]
) -> list[Section]:
    """The images with the lowest and the highest F1; of equal ones those with more to find."""
    f1 = counts.f1
    defined = np.flatnonzero(~np.isnan(f1))
    order = defined[np.lexsort((-(counts.missed + counts.false)[defined], f1[defined]))]
    worst = [int(i) for i in order[:NUM_WORST] if f1[i] < 1]
    order = defined[np.lexsort((-counts.found[defined], -f1[defined]))]
    best = [int(i) for i in order[:NUM_BEST] if f1[i] > 0]
    sections = []
    for title, chosen in (("Worst images", worst), ("Best images", best)):
        if chosen:
            text = "F1 at IoU 0.5 and each class's best threshold, what was found, missed and falsely found."
            photo = _photo(metric, samples, counts, thresholds, chosen)
            sections.append(Section(title, text, photo=photo))
    return sections


def _photo(
    metric: CocoMetric, samples: Samples, counts: ImageCounts,
    thresholds: npt.NDArray[np.float64], chosen: list[int],
) -> npt.NDArray[np.uint8]:  # fmt: skip
    names = metric.class_names
    found, truth = metric.found, metric.truth
    positions = {image_id: i for i, image_id in enumerate(samples.records.image_ids.tolist())}
    kept = found.scores >= thresholds[found.categories]
    images, targets, detections, captions = [], [], [], []
    for i in chosen:
        position = positions[metric.image_ids[i]]
        path = samples.records.image_paths[position]
        # As small as they are drawn: a dozen large photos would not fit into the memory.
        image, scale = fit_tile(original_image(samples, position))
        images.append(image)
        own, size = (truth.images == i) & ~truth.crowd, (image.shape[0], image.shape[1])
        boxes, labels = _xyxy(truth.boxes[own]) * scale, torch.from_numpy(truth.categories[own])
        targets.append(BoxTarget(boxes, labels, metric.image_ids[i], size))
        rows = (found.images == i) & kept
        detections.append(
            Detections(
                _xyxy(found.boxes[rows]) * scale, torch.from_numpy(found.scores[rows]),
                torch.from_numpy(found.categories[rows]),
            )
        )  # fmt: skip
        captions.append(
            f"{Path(path).name}: F1 {counts.f1[i]:.2f}, {counts.found[i]} found, "
            f"{counts.missed[i]} missed, {counts.false[i]} false"
        )
    return detection_sheet(images, targets, detections, names, threshold=None, captions=captions)


def _xyxy(boxes: npt.NDArray[np.float64]) -> torch.Tensor:
    return torch.from_numpy(np.concatenate((boxes[:, :2], boxes[:, :2] + boxes[:, 2:]), axis=1))
