"""Evaluation of a detector."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from pocketvision.core.files import replacing, write_json
from pocketvision.core.resize import Image
from pocketvision.core.structures import BoxTarget, DetectionBatch, Detections, DetectionSamples, Size
from pocketvision.datasets.coco.ground_truth import coco_dataset
from pocketvision.datasets.even_choice import first_to_last
from pocketvision.datasets.records.annotations import DetectionRecords
from pocketvision.evaluation.originals import Samples
from pocketvision.evaluation.per_image_results import DetectionImages, ordered_boxes
from pocketvision.evaluation.report.detection import detection_sections
from pocketvision.evaluation.report.document import Section
from pocketvision.evaluation.report.sheets import DEFAULT_THRESHOLD, NUM_PICTURES, detection_sheet
from pocketvision.evaluation.tile_parts import TileDetections
from pocketvision.metrics import CocoMetric
from pocketvision.metrics.bootstrap import Interval, intervals
from pocketvision.metrics.coco_arrays import MAX_DETECTIONS
from pocketvision.metrics.coco_resampled import ResampledAP, sized_matches
from pocketvision.metrics.detection_analysis import (
    ImageCounts,
    OperatingPoint,
    best_threshold,
    confusion,
    image_counts,
    operating_points,
    thresholds_of,
)
from pocketvision.metrics.detection_errors import detection_errors

logger = logging.getLogger("pocketvision")
_IOU_THRESHOLD = 0.5
"""From which the boxes of two tiles are one, for a model that doesn't say."""


class DetectionPredictor(Protocol):
    """Images (N, 3, H, W) uint8 -> detections in their pixels, and from there in the original images'."""

    class_names: tuple[str | None, ...]

    def predict(self, images: Tensor) -> DetectionBatch: ...

    def restore(self, detections: DetectionBatch, original_sizes: Sequence[Size]) -> list[Detections]: ...


class DetectionEvaluator:
    """Scores a detector with COCO AP, in pixels of the original images."""

    def __init__(
        self, model: DetectionPredictor, records: DetectionRecords, folder: Path | None = None
    ) -> None:
        self.model, self.records, self.folder = model, records, folder
        ids = [None if category < 0 else category for category in records.category_ids]
        self.metric = CocoMetric(coco_dataset(records), ids, model.class_names)
        # The first ones of a video would show one scene.
        self.picked = set(records.image_ids[first_to_last(len(records), NUM_PICTURES)].tolist())
        self.shown: dict[int, tuple[Tensor, BoxTarget, Detections]] = {}
        self.is_tiled = False
        threshold = getattr(getattr(model, "postprocess", None), "iou_threshold", _IOU_THRESHOLD)
        self._tiles = TileDetections(threshold)

    def update(self, samples: DetectionSamples) -> None:
        """Predict a batch and add it; of tiles a picture counts with its last one."""
        batch = self.model.predict(samples.images.to(memory_format=torch.channels_last))
        restored = self.model.restore(batch, [target.original_size for target in samples.targets])
        for target, detections in zip(samples.targets, restored, strict=True):
            place, of_picture = target.tile, detections
            if place is not None:
                self.is_tiled, merged = True, self._tiles.add(place, detections)
                if merged is None:
                    continue
                of_picture = merged
            self.metric.update(target.image_id, of_picture)
        for image, target, found in zip(samples.images, samples.targets, batch.unpad(), strict=True):
            before = self.shown.get(target.image_id)
            if target.image_id in self.picked and (
                before is None or len(target.boxes) > len(before[1].boxes)  # of tiles the fullest one
            ):
                self.shown[target.image_id] = image.cpu(), target, found

    def compute(self) -> dict[str, Any]:
        """COCO's numbers; with a folder also the best threshold of each class and its F1."""
        metrics = self.metric.compute()
        if self.folder is not None:
            for sentence in self.caps():
                logger.warning(sentence)
            for name, point in zip(self.metric.class_names, self.points, strict=True):
                best = {} if point is None else point._asdict()
                names = {"threshold": "threshold", "f1": "F1", "precision": "precision", "recall": "recall"}
                metrics["per_class"][name] |= {new: best.get(old) for old, new in names.items()}
        return metrics

    def caps(self) -> list[str]:
        """What limits on the number of boxes have cut off, a sentence each."""
        truth = self.metric.truth
        images, classes = truth.images[~truth.crowd], truth.categories[~truth.crowd]
        of_images = np.bincount(images, minlength=1)
        of_classes = np.unique(np.stack((images, classes)), axis=1, return_counts=True)[1]
        limit = getattr(getattr(self.model, "postprocess", None), "max_detections", of_images.max())
        limit = of_images.max() if self.is_tiled else limit  # which holds for a tile
        sentences = []
        if num := int((of_images > limit).sum()):
            sentences.append(
                f"{num} of {len(self.metric.image_ids)} pictures have more boxes than the {limit} that the "
                f"model gives, up to {of_images.max()}: raise model.max_detections."
            )
        if num := int((of_classes > MAX_DETECTIONS[-1]).sum()):
            sentences.append(
                f"A class has more than {MAX_DETECTIONS[-1]} boxes in a picture, {num} times: AP and AR "
                f"count the best {MAX_DETECTIONS[-1]} detections of each class and picture, as COCO's do."
            )
        return sentences

    @cached_property
    def points(self) -> list[OperatingPoint | None]:
        return operating_points(self.metric.matches)

    @cached_property
    def counts(self) -> ImageCounts:
        """What is found in each image at the best thresholds, by the order of ``metric.image_ids``."""
        thresholds = thresholds_of(self.points)
        return image_counts(self.metric.truth, self.metric.matches, thresholds, len(self.metric.image_ids))

    def intervals(self) -> dict[str, Interval]:
        table = sized_matches(self.metric.truth, self.metric.matches).table()
        return intervals(ResampledAP(table, len(self.metric.image_ids), len(self.metric.class_names)))

    def write(self) -> None:
        """Write results.json, images.npz for comparisons, analysis.json, and ground_truth.json where the
        data is not a COCO file."""
        assert self.folder is not None
        with replacing(self.folder / "results.json") as temporary:
            temporary.write_text(json.dumps(self.metric.results()), encoding="utf-8")
        if self.records.annotation_file is None:
            write_json(self.folder / "ground_truth.json", coco_dataset(self.records))
        names = dict(zip(self.records.image_ids.tolist(), self.records.image_paths, strict=True))
        DetectionImages(
            np.array(self.metric.image_ids, dtype=np.int64),
            np.array([Path(names[i]).name if i in names else "" for i in self.metric.image_ids]),
            np.array(self.metric.class_names),
            *sized_matches(self.metric.truth, self.metric.matches),
            *self.counts,
            ordered_boxes(self.metric.truth),
        ).write(self.folder)
        write_json(self.folder / "analysis.json", self.analysis)

    @cached_property
    def analysis(self) -> dict[str, Any]:
        """The best threshold, errors, confusion matrix and precision-recall curves, as in analysis.json."""
        metric = self.metric
        errors = detection_errors(metric.truth, metric.found, metric.matches)
        matrix = confusion(metric.truth, metric.found, metric.matches, thresholds_of(self.points))
        curves = metric.scores().precision[0, :, :, 0, -1].T
        return {
            "threshold": best_threshold(metric.matches),
            "errors": {name: {"count": row.number, "dAP50": row.dap50} for name, row in errors.items()},
            "confusion": {"names": [*metric.class_names, "background"], "boxes": matrix.tolist()},
            "precision_at_recall_0_to_1": {
                name: None if curve[0] < 0 else curve.round(5).tolist()
                for name, curve in zip(metric.class_names, curves, strict=True)
            },
        }

    def sheet(self) -> Image:
        """What is found at the best threshold of all classes together."""
        images, targets, detections = zip(*self.shown.values(), strict=True)
        threshold = self.analysis["threshold"]
        return detection_sheet(
            torch.stack(images), targets, detections, self.model.class_names,
            DEFAULT_THRESHOLD if threshold is None else threshold,
        )  # fmt: skip

    def sections(self, metrics: dict[str, Any], samples: Samples) -> list[Section]:
        """Curves, classes, errors, confusion, and the worst and best images."""
        thresholds = thresholds_of(self.points)
        return detection_sections(self.metric, samples, metrics, self.analysis, self.counts, thresholds)
