"""The same images through PyTorch and an exported file, stage by stage."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pocketvision.core.resize import Image, Resize
from pocketvision.core.structures import Detections
from pocketvision.deploy.certificate.agreement import Agreement, make_agreement
from pocketvision.deploy.certificate.images import ImageSet, TruthScore
from pocketvision.deploy.certificate.stages import Reference, StageDifference, StageReader
from pocketvision.deploy.predict.prediction import Prediction
from pocketvision.deploy.runtimes.artifact import LABEL_MAP, Artifact
from pocketvision.deploy.runtimes.opening import open_runtime
from pocketvision.deploy.runtimes.protocol import Runtime
from pocketvision.deploy.runtimes.results import (
    finish_detections,
    finish_label_maps,
    finish_scores,
    restore_detections,
)
from pocketvision.models import VisionModel

_Result = Detections | Tensor
"""Detections in pixels of the image, its label map (H, W), or its class scores (K,)."""

NUM_PICTURES = 4
_BATCH = 4
_MIN_SCORE = 0.3
"""Of boxes in pictures."""
_NUM_CLASSES = 3


class Pair(NamedTuple):
    """What both say of one image, and the share in which they agree."""

    agreement: float
    torch: Prediction
    artifact: Prediction


@dataclass
class ExportComparison:
    """What was counted over the images.

    ``differences`` are by stage; a stage that the format hides has none. ``num_tensors`` says of how many
    tensors of a stage that is true. ``torch_score`` and ``artifact_score`` are AP, mIoU or top-1, None
    without truth. ``pairs`` are the images that differ most.
    """

    artifact: Artifact
    agreement: Agreement
    differences: dict[str, StageDifference] = field(default_factory=lambda: defaultdict(StageDifference))
    num_tensors: dict[str, tuple[int, int]] = field(default_factory=dict)
    torch_score: float | None = None
    artifact_score: float | None = None
    pairs: list[Pair] = field(default_factory=list)


def compare(
    model: VisionModel, path: Path, images: ImageSet, runtime: Runtime | None = None
) -> ExportComparison:
    """Run ``images`` through ``model`` and the exported file ``path``, by default with its own runtime.

    Raises:
        InputError: an image is broken, or the file can't be run here.
    """
    runtime = runtime or open_runtime(path)
    artifact = runtime.artifact
    reference = Reference(model, label_map=artifact.outputs == LABEL_MAP)
    comparison = ExportComparison(artifact, make_agreement(artifact.task))
    scores = [
        None if images.records is None else TruthScore(images.records, artifact.class_names) for _ in range(2)
    ]
    reader: StageReader | None = None
    size = artifact.batch or _BATCH
    for start in range(0, len(images.paths), size):
        indices = range(start, min(start + size, len(images.paths)))
        originals = [images.read(index, artifact.resize.pixels) for index in indices]
        ours = _inputs(reference.artifact.resize, originals)
        theirs = _inputs(artifact.resize, originals)
        expected, found = reference(ours), runtime(theirs)
        reader = reader or StageReader(path, artifact, reference, ours)
        comparison.differences["resize"].add(ours, theirs)
        _count_stages(comparison, reference, reader(theirs, found))
        sizes = [image.shape[:2] for image in originals]
        both = [_results(reference.artifact, expected, sizes), _results(artifact, found, sizes)]
        for index, image, *pair in zip(indices, originals, *both, strict=True):
            for score, result in zip(scores, pair, strict=True):
                if score is not None:
                    score.update(index, result)
            _add_pair(comparison, image, images.paths[index], pair)
    comparison.torch_score, comparison.artifact_score = (
        None if score is None else score.value(artifact.task) for score in scores
    )
    return comparison


def _inputs(resize: Resize, images: Sequence[Image]) -> Tensor:
    resized = np.stack([resize.apply(image) for image in images])
    return torch.from_numpy(resized).permute(0, 3, 1, 2).contiguous()


def _count_stages(
    comparison: ExportComparison, reference: Reference, stages: dict[str, list[Tensor | None]]
) -> None:
    for stage, tensors in stages.items():
        pairs = [
            (expected, found)
            for expected, found in zip(reference.inner[stage], tensors, strict=True)
            if found is not None
        ]
        for expected, found in pairs:
            comparison.differences[stage].add(expected, found)
        comparison.num_tensors[stage] = len(pairs), len(tensors)


def _results(
    artifact: Artifact, outputs: dict[str, Tensor], sizes: Sequence[tuple[int, int]]
) -> Sequence[_Result]:
    if artifact.task == "detection":
        return restore_detections(artifact, finish_detections(artifact, outputs), sizes)
    if artifact.task == "segmentation":
        return finish_label_maps(artifact, outputs, sizes)
    return list(finish_scores(artifact, outputs))


def _add_pair(comparison: ExportComparison, image: Image, path: str, pair: Sequence[_Result]) -> None:
    """Count the agreement on an image, and keep it if it is among the worst."""
    ours, theirs = pair
    agreement = comparison.agreement.add(ours, theirs)  # type: ignore[arg-type]  # both are of one task
    if comparison.artifact.task == "classification":
        difference = comparison.differences["scores"]
        assert isinstance(ours, Tensor) and isinstance(theirs, Tensor)
        difference.add(ours, theirs)
    drawn = [_prediction(comparison.artifact, image, path, result) for result in pair]
    comparison.pairs.append(Pair(agreement, *drawn))
    comparison.pairs.sort(key=lambda pair: pair.agreement)
    del comparison.pairs[NUM_PICTURES:]


def _prediction(artifact: Artifact, image: Image, path: str, result: _Result) -> Prediction:
    task, names = artifact.task, artifact.class_names
    if isinstance(result, Detections):
        boxes, scores, labels = (value[result.scores > _MIN_SCORE].numpy() for value in result)
        return Prediction(task, image, names, path, boxes=boxes, scores=scores, labels=labels)
    if task == "segmentation":
        return Prediction(task, image, names, path, label_map=result.numpy())
    best = result.topk(min(_NUM_CLASSES, len(result)))
    return Prediction(task, image, names, path, scores=best.values.numpy(), labels=best.indices.numpy())
