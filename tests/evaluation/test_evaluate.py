"""What an evaluation counts, keeps for its picture and prints."""

from __future__ import annotations

from typing import cast

import numpy as np
import pytest
import torch
from torch import Tensor

from pocketvision.core.structures import ClassificationSamples, ClassTarget
from pocketvision.datasets import ClassificationRecords
from pocketvision.evaluation.evaluate import ClassificationEvaluator, metrics_table
from pocketvision.models import Classifier

NUM_CLASSES = 120
NAMES = tuple(f"class {i}" for i in range(NUM_CLASSES))


class Reader:
    """A stand-in for a model: the two classes that it finds best are written into the first pixels."""

    class_names = NAMES

    def predict(self, images: Tensor) -> Tensor:
        scores = torch.zeros(len(images), NUM_CLASSES)
        scores[torch.arange(len(images)), images[:, 0, 0, 1].long()] = 0.3
        scores[torch.arange(len(images)), images[:, 0, 0, 0].long()] = 0.6
        return scores


def evaluated(batch_size: int) -> ClassificationEvaluator:
    """One image a class: a third is right, a third is right with the second answer."""
    labels = np.arange(NUM_CLASSES)
    paths = [f"{name}/a.jpg" for name in NAMES]
    records = ClassificationRecords("data", paths, labels + 1, labels, NAMES)
    evaluator = ClassificationEvaluator(cast(Classifier, Reader()), records)
    images = torch.zeros(NUM_CLASSES, 3, 4, 4, dtype=torch.uint8)
    wrong = (labels + 7) % NUM_CLASSES
    images[:, 0, 0, 0] = torch.from_numpy(np.where(labels % 3 == 0, labels, wrong))
    images[:, 0, 0, 1] = torch.from_numpy(np.where(labels % 3 == 1, labels, (labels + 9) % NUM_CLASSES))
    targets = [ClassTarget(int(label), int(label) + 1, (4, 4)) for label in labels]
    for start in range(0, NUM_CLASSES, batch_size):
        part = slice(start, start + batch_size)
        evaluator.update(ClassificationSamples(images[part], targets[part]))
    return evaluator


@pytest.mark.parametrize("batch_size", [1, 50])
def test_a_classifier_is_scored_by_its_best_answers(batch_size: int) -> None:
    evaluator = evaluated(batch_size)
    metrics = evaluator.compute()
    assert metrics["top1"] == pytest.approx(1 / 3) and metrics["num_images"] == NUM_CLASSES
    assert metrics["top5"] >= 2 / 3
    assert evaluator.results[1]["predicted"][:2] == ["class 8", "class 1"]
    assert evaluator.results[1]["file_name"] == "class 1/a.jpg"


def test_the_picture_shows_images_from_all_over_the_data() -> None:
    shown = [answer.truth for _, answer in evaluated(50).shown]
    assert len(shown) == 12 and shown[0] == "class 0" and shown[-1] == "class 119"
    assert evaluated(50).sheet().ndim == 3


def test_a_long_table_is_cut() -> None:
    text = metrics_table(evaluated(50).compute())
    assert "class 99 " in text and "class 100 " not in text
    assert text.endswith("... and 20 more in metrics.json")
