"""Whether arrays or tensors that a graph gives are what its metadata promise: shapes, labels, numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from pocketvision.deploy.runtimes.artifact import DETECTIONS, LABEL_MAP, OUTPUTS, Artifact

_OF_MODELS = (*OUTPUTS.values(), DETECTIONS, LABEL_MAP)


def check_answers(artifact: Artifact, outputs: Mapping[str, Any], num_images: int) -> None:
    """Raise :class:`ValueError` with the first output that does not fit the metadata.

    Tensors from within a graph, which no model has as outputs, are not looked at.
    """
    for part in artifact.parts:
        if artifact.outputs_of(part, outputs):
            check_answers(part, artifact.outputs_of(part, outputs), num_images)
    if artifact.outputs not in _OF_MODELS:
        return
    for name, value in outputs.items():
        if not value.ndim or len(value) != num_images:
            raise ValueError(f"{name} is {tuple(value.shape)} for {num_images} images")
    num_classes = len(artifact.class_names)
    if artifact.task == "detection":
        _check_detections(artifact, outputs, num_classes)
    elif "label_map" in outputs:
        _need_shape(outputs, "label_map", 3)
        _need_labels(outputs["label_map"], num_classes)
    elif artifact.task == "segmentation":
        _need_shape(outputs, "logits", 4, {1: num_classes})
    else:
        _need_shape(outputs, "class_logits", 2, {1: num_classes})


def _check_detections(artifact: Artifact, outputs: Mapping[str, Any], num_classes: int) -> None:
    if not artifact.has_nms:
        assert artifact.postprocess is not None
        columns = num_classes + (artifact.postprocess.score_function == "softmax")
        num_anchors = len(artifact.anchor_array)
        _need_shape(outputs, "class_logits", 3, {1: num_anchors, 2: columns})
        _need_shape(outputs, "box_deltas", 3, {1: num_anchors, 2: 4})
        return
    _need_shape(outputs, "boxes", 3, {2: 4})
    most = outputs["boxes"].shape[1]
    for name in ("scores", "labels"):
        _need_shape(outputs, name, 2, {1: most})
    _need_shape(outputs, "num_detections", 1)
    counts = outputs["num_detections"]
    if not bool(((counts >= 0) & (counts <= most)).all()):
        raise ValueError("num_detections is no number of boxes")
    for name in ("boxes", "scores"):
        if not bool((abs(outputs[name]) < math.inf).all()):
            raise ValueError(f"{name} has numbers that are not finite")
    _need_labels(outputs["labels"], num_classes, least=-1)


def _need_shape(
    outputs: Mapping[str, Any], name: str, ndim: int, sides: Mapping[int, int] | None = None
) -> None:
    shape = tuple(outputs[name].shape)
    if len(shape) != ndim or any(shape[axis] != side for axis, side in (sides or {}).items()):
        raise ValueError(f"{name} is {shape}, which is not what the metadata say")


def _need_labels(labels: Any, num_classes: int, least: int = 0) -> None:
    if "float" in str(labels.dtype) or (
        math.prod(labels.shape) and not (least <= int(labels.min()) and int(labels.max()) < num_classes)
    ):
        raise ValueError(f"it answers with classes that are none of its {num_classes}")
