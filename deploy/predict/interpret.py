"""From what a model answers to predictions: of one task, or of several at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pocketvision.core.resize import Image
from pocketvision.core.structures import ArrayDetections, Size
from pocketvision.deploy.predict.joint_prediction import JointPrediction
from pocketvision.deploy.predict.prediction import Prediction
from pocketvision.deploy.runtimes.array_results import Outputs, find_boxes, find_labels, find_scores
from pocketvision.deploy.runtimes.artifact import Artifact

_NUM_CLASSES = 5


def interpret(
    artifact: Artifact, outputs: Outputs, images: Sequence[Image], threshold: float
) -> list[Prediction]:
    """The predictions for a batch of images of any sizes; boxes score more than ``threshold``."""
    if not artifact.parts:
        return _of_one_task(artifact, outputs, images, threshold)
    by_task = [
        _of_one_task(part, artifact.outputs_of(part, outputs), images, threshold) for part in artifact.parts
    ]
    tasks = [part.task for part in artifact.parts]
    return [
        JointPrediction.of(image, dict(zip(tasks, predictions, strict=True)))
        for image, *predictions in zip(images, *by_task, strict=True)
    ]


def _of_one_task(
    artifact: Artifact, outputs: Outputs, images: Sequence[Image], threshold: float
) -> list[Prediction]:
    names, sizes = artifact.class_names, [image_size(image) for image in images]
    if artifact.task == "detection":
        found = _boxes_above(artifact, outputs, sizes, threshold)
        return [with_boxes(image, names, part) for image, part in zip(images, found, strict=True)]
    if artifact.task == "segmentation":
        pairs = zip(images, find_labels(artifact, outputs, sizes), strict=True)
        return [Prediction("segmentation", image, names, label_map=labels) for image, labels in pairs]
    count = min(_NUM_CLASSES, sum(name is not None for name in names))
    best = [(scores, np.argsort(-scores, kind="stable")[:count]) for scores in find_scores(artifact, outputs)]
    return [
        Prediction("classification", image, names, scores=scores[labels], labels=labels)
        for image, (scores, labels) in zip(images, best, strict=True)
    ]


def _boxes_above(
    artifact: Artifact, outputs: Outputs, sizes: Sequence[Size], threshold: float
) -> list[ArrayDetections]:
    """Detections that score more than ``threshold``, in pixels of images of ``sizes``."""
    found = []
    for part in find_boxes(artifact, outputs, sizes):
        above = part.scores > threshold
        found.append(ArrayDetections(part.boxes[above], part.scores[above], part.labels[above]))
    return found


def with_boxes(image: Image, names: tuple[str | None, ...], found: ArrayDetections) -> Prediction:
    """The prediction of a detector."""
    return Prediction("detection", image, names, boxes=found.boxes, scores=found.scores, labels=found.labels)


def image_size(image: Image) -> Size:
    """(height, width)."""
    return image.shape[0], image.shape[1]
