"""Evaluation of a classifier."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from pocketvision.core.files import replacing
from pocketvision.core.resize import Image
from pocketvision.core.structures import ClassificationSamples
from pocketvision.datasets.even_choice import first_to_last
from pocketvision.datasets.records.annotations import ClassificationRecords
from pocketvision.evaluation.originals import Samples, original_image
from pocketvision.evaluation.per_image_results import ClassificationImages
from pocketvision.evaluation.report.document import Section
from pocketvision.evaluation.report.figures import bars, confusion_picture
from pocketvision.evaluation.report.sheets import NUM_PICTURES, Answer, classification_sheet, fit_tile
from pocketvision.metrics import AccuracyMetric
from pocketvision.metrics.accuracy import ResampledAccuracy
from pocketvision.metrics.bootstrap import Interval, intervals

_TOP = 5
_NUM_WORST = 12


class ClassificationPredictor(Protocol):
    """Images (N, 3, H, W) uint8 -> scores (N, K)."""

    class_names: tuple[str | None, ...]

    def predict(self, images: Tensor) -> Tensor: ...


class ClassificationEvaluator:
    """Scores a classifier with top-1 and top-5 accuracy."""

    def __init__(
        self, model: ClassificationPredictor, records: ClassificationRecords, folder: Path | None = None
    ) -> None:
        self.model, self.records, self.folder = model, records, folder
        self.metric = AccuracyMetric(model.class_names)
        self.paths = dict(zip(records.image_ids.tolist(), records.image_paths, strict=True))
        # Files are in the order of their classes, so the first ones would all show one class.
        self.picked = set(records.image_ids[first_to_last(len(records), NUM_PICTURES)].tolist())
        self.shown: list[tuple[Tensor, Answer]] = []
        self.results: list[dict[str, Any]] = []
        self.image_ids: list[int] = []

    def update(self, samples: ClassificationSamples) -> None:
        """Predict a batch and add it."""
        names = self.model.class_names
        scores = self.model.predict(samples.images.to(memory_format=torch.channels_last)).cpu()
        values, labels = scores.topk(min(_TOP, scores.shape[1]), dim=1)
        ranked = zip(samples.targets, samples.images, values.tolist(), labels.tolist(), strict=True)
        for target, image, best_scores, best in ranked:
            self.metric.update(best, target.label)
            result = {
                "file_name": self.paths[target.image_id],
                "class_name": names[target.label],
                "predicted": [names[label] for label in best],
                "scores": [round(score, 6) for score in best_scores],
            }
            self.results.append(result)
            self.image_ids.append(target.image_id)
            if target.image_id in self.picked:
                answer = Answer(str(names[target.label]), str(names[best[0]]), best_scores[0])
                self.shown.append((image.cpu(), answer))

    def compute(self) -> dict[str, Any]:
        return self.metric.compute()

    def intervals(self) -> dict[str, Interval]:
        right = [result["predicted"][0] == result["class_name"] for result in self.results]
        return intervals(ResampledAccuracy(np.array(right, dtype=bool)))

    def write(self) -> None:
        """Write results.json, the five best classes of every image, and images.npz for comparisons."""
        assert self.folder is not None
        order = np.argsort(self.image_ids)
        ClassificationImages(
            np.array(self.image_ids, dtype=np.int64)[order],
            np.array([Path(row["file_name"]).name for row in self.results])[order],
            np.array([name for name in self.model.class_names if name is not None]),
            np.array([str(row["class_name"]) for row in self.results])[order],
            np.array([str(row["predicted"][0]) for row in self.results])[order],
        ).write(self.folder)
        with replacing(self.folder / "results.json") as temporary:
            temporary.write_text(json.dumps(self.results, ensure_ascii=False), encoding="utf-8")

    def sheet(self) -> Image:
        images, answers = zip(*self.shown, strict=True)
        return classification_sheet(torch.stack(images), answers)

    def sections(self, metrics: dict[str, Any], samples: Samples) -> list[Section]:
        """Accuracy by class, what is taken for what, and the wrong answers with the highest scores."""
        names = [name for name in self.model.class_names if name is not None]
        top1 = {name: metrics["per_class"][name]["top1"] for name in names}
        pairs = Counter((result["class_name"], result["predicted"][0]) for result in self.results)
        matrix = np.array([[pairs[true, found] for found in names] for true in names])
        results = enumerate(self.results)
        wrong = [(i, row) for i, row in results if row["predicted"][0] != row["class_name"]]
        wrong.sort(key=lambda numbered: -numbered[1]["scores"][0])
        return [
            Section("Top-1 accuracy by class", picture=bars(top1)),
            Section("What is taken for what", picture=confusion_picture(matrix, names)),
            *([_worst(wrong[:_NUM_WORST], samples)] if wrong else []),
        ]


def _worst(numbered: list[tuple[int, dict[str, Any]]], samples: Samples) -> Section:
    images = [fit_tile(original_image(samples, i))[0] for i, _ in numbered]
    answers = [
        Answer(result["class_name"], result["predicted"][0], result["scores"][0]) for _, result in numbered
    ]
    return Section("Wrong with the highest scores", photo=classification_sheet(images, answers))
