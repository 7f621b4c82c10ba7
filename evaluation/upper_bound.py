"""The best score that a model's form allows: the truth itself, encoded as its output and read back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor

from pocketvision.core.boxes import box_iou
from pocketvision.core.protocols import BoxCoder, HasDeltaRange
from pocketvision.core.structures import (
    IGNORE_INDEX,
    BoxTarget,
    DetectionBatch,
    DetectionOutput,
    Detections,
    MaskTarget,
    Size,
)
from pocketvision.datasets.records.annotations import AnyRecords
from pocketvision.evaluation.evaluate import make_evaluator
from pocketvision.losses.ssd import pad_targets
from pocketvision.models import Detector, Segmenter, VisionModel
from pocketvision.models.segmenter import label_maps

_SURE = 20.0
"""Logit of a certain answer."""


@runtime_checkable
class MatchingLoss(Protocol):
    """A loss that says which box each anchor predicts, (N, A) with -1 for none, and how it is encoded."""

    matcher: Callable[[Tensor, Tensor, Tensor], Tensor]
    coder: BoxCoder


def best_possible_score(
    model: VisionModel, loss: object, records: AnyRecords, batches: Iterable[Any], metric: str
) -> float:
    """The ``metric`` of perfect predictions for ``batches`` of evaluation samples of ``records``.

    Boxes: each one that the loss's matcher gives an anchor is predicted as well as the head's deltas reach,
    by one of its anchors; what is missing then was lost by matcher, coder, that reach, postprocessing or
    resize. Masks: the truth at the
    resolution of the model's output. Classes, and boxes of a loss that matches none to anchors: 1.
    """
    oracle: DetectionOracle | SegmentationOracle
    if isinstance(model, Detector) and isinstance(loss, MatchingLoss):
        oracle = DetectionOracle(model, loss)
    elif isinstance(model, Segmenter):
        oracle = SegmentationOracle(model)
    else:
        return 1.0
    evaluator = make_evaluator(oracle, records)
    for samples in batches:
        oracle.targets = samples.targets
        evaluator.update(samples)
    return float(evaluator.compute()[metric] or 0.0)


class DetectionOracle:
    """Predicts ``targets``, which are those of the images that it is asked for next."""

    def __init__(self, model: Detector, loss: MatchingLoss) -> None:
        self.model, self.loss, self.class_names = model, loss, model.class_names
        self.targets: list[BoxTarget] = []

    @torch.no_grad()
    def predict(self, images: Tensor) -> DetectionBatch:
        """Perfect output for images (N, 3, H, W), through the model's postprocessing."""
        output: DetectionOutput = self.model(images)
        boxes, labels, is_box = pad_targets(self.targets)
        matches = self.loss.matcher(boxes, is_box, output.anchors)
        logits = torch.full_like(output.class_logits, -_SURE, dtype=torch.float32)
        if self.model.score_function == "softmax":
            logits[..., -1] = 0.0
        deltas = torch.zeros_like(output.box_deltas, dtype=torch.float32)
        for image, row in enumerate(matches):
            for box in row[row >= 0].unique().tolist():
                own = (row == box).nonzero().flatten()
                best, reached = self._nearest(boxes[image, box], output.anchors[own])
                logits[image, own[best], labels[image, box]] = _SURE
                deltas[image, own[best]] = reached
        size = int(images.shape[-2]), int(images.shape[-1])
        return self.model.postprocess(DetectionOutput(logits, deltas, output.anchors), size)

    def _nearest(self, box: Tensor, anchors: Tensor) -> tuple[int, Tensor]:
        """Of anchors (M, 4) the first that comes nearest to ``box`` (4,), and its deltas (4,)."""
        coder, head = self.loss.coder, self.model.head
        exact = coder.encode(box.expand_as(anchors), anchors)
        if not isinstance(head, HasDeltaRange):
            return 0, exact[0]
        reached = exact.clamp(*head.delta_range)
        iou = box_iou(coder.decode(reached, anchors), coder.decode(exact, anchors)).diagonal()
        best = int(iou.argmax())
        return best, reached[best]

    def restore(self, detections: DetectionBatch, original_sizes: Sequence[Size]) -> list[Detections]:
        """As the model does."""
        return self.model.restore(detections, original_sizes)


class SegmentationOracle:
    """Predicts ``targets`` as well as the resolution of the model's output allows."""

    def __init__(self, model: Segmenter) -> None:
        self.model, self.class_names = model, model.class_names
        self.targets: list[MaskTarget] = []

    @torch.no_grad()
    def predict(self, images: Tensor, original_sizes: Sequence[Size]) -> list[Tensor]:
        """Label maps of the original sizes."""
        shape, maps = self.model(images).shape, []
        for target, size in zip(self.targets, original_sizes, strict=True):
            mask = target.mask.cpu().numpy()
            resized = torch.from_numpy(self.model.resize.apply_to_mask(mask)).long()
            one_hot = F.one_hot(resized, IGNORE_INDEX + 1)[..., : shape[1]].permute(2, 0, 1).float()
            logits = F.adaptive_avg_pool2d(one_hot, (int(shape[-2]), int(shape[-1])))
            maps += label_maps(logits[None], self.class_names, self.model.resize, [size])
        return maps
