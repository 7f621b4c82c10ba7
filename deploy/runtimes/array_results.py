"""From the outputs of any runtime to results, as arrays: what ``results`` does, without PyTorch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvision.core.boxes import SSDBoxCoder
from pocketvision.core.distances import DistanceBoxCoder
from pocketvision.core.structures import ArrayDetections, Size
from pocketvision.deploy.client.results import (
    best_boxes,
    best_classes,
    decode_distances,
    decode_ssd,
    enlarge,
    resize_labels,
    sigmoid,
    softmax,
)
from pocketvision.deploy.runtimes.artifact import Artifact
from pocketvision.models.postprocess import SSDPostprocess

Outputs = Mapping[str, npt.NDArray[Any]]


def find_boxes(artifact: Artifact, outputs: Outputs, original_sizes: Sequence[Size]) -> list[ArrayDetections]:
    """The outputs of a detector, raw or final -> detections in pixels of each original image."""
    found = []
    for index, size in enumerate(original_sizes):
        one = {name: values[index] for name, values in outputs.items()}
        boxes, scores, labels = _final(one) if artifact.has_nms else _suppressed(artifact, one)
        height, width = artifact.resize.content_size(size)
        factors = np.array([width / size[1], height / size[0]] * 2, dtype=np.float32)
        boxes = (boxes / factors).clip(0, [size[1], size[0]] * 2)
        found.append(ArrayDetections(boxes.astype(np.float32), scores, labels))
    return found


def _final(outputs: Outputs) -> ArrayDetections:
    count = int(outputs["num_detections"])
    return ArrayDetections(outputs["boxes"][:count], outputs["scores"][:count], outputs["labels"][:count])


def _suppressed(artifact: Artifact, outputs: Outputs) -> ArrayDetections:
    """Raw outputs of one image -> detections in pixels of the input."""
    postprocess = artifact.postprocess
    assert postprocess is not None
    logits, deltas = (outputs[name].astype(np.float32) for name in ("class_logits", "box_deltas"))
    scores = softmax(logits)[:, :-1] if postprocess.score_function == "softmax" else sigmoid(logits)
    scores[:, list(postprocess.reserved_labels)] = 0.0
    height, width = artifact.image_size
    boxes = _decode(artifact, postprocess, deltas).clip(0, [width, height] * 2).astype(np.float32)
    return ArrayDetections(*best_boxes(boxes, scores, vars(postprocess)))


def _decode(
    artifact: Artifact, postprocess: SSDPostprocess, deltas: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    coder = postprocess.coder
    if isinstance(coder, SSDBoxCoder):
        return decode_ssd(deltas, artifact.anchor_array, vars(coder))
    if isinstance(coder, DistanceBoxCoder):
        return decode_distances(deltas, artifact.anchor_array)
    import torch

    boxes: npt.NDArray[np.float32] = coder.decode(torch.from_numpy(deltas), artifact.anchor_boxes).numpy()
    return boxes


def find_labels(
    artifact: Artifact, outputs: Outputs, original_sizes: Sequence[Size]
) -> list[npt.NDArray[np.uint8]]:
    """The outputs of a segmenter, logits or a label map -> label maps (H, W) of the original sizes."""
    maps = []
    for index, size in enumerate(original_sizes):
        height, width = artifact.resize.content_size(size)
        if "label_map" in outputs:
            maps.append(resize_labels(outputs["label_map"][index][:height, :width], size))
            continue
        named = [place for place, name in enumerate(artifact.class_names) if name is not None]
        logits = outputs["logits"][index][named].astype(np.float32)
        if (height, width) != artifact.image_size:
            logits = enlarge(logits, artifact.image_size)[:, :height, :width]
        maps.append(np.array(named, dtype=np.uint8)[best_classes(logits, size)])
    return maps


def find_scores(artifact: Artifact, outputs: Outputs) -> npt.NDArray[np.float32]:
    """The logits of a classifier -> softmax scores (N, K), 0 for classes without a name."""
    scores: npt.NDArray[np.float32] = softmax(outputs["class_logits"].astype(np.float32))
    scores[:, [index for index, name in enumerate(artifact.class_names) if name is None]] = 0.0
    return scores
