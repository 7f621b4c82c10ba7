"""From the outputs of any runtime to results: detections, label maps, scores."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pocketvision.core.structures import DetectionBatch, DetectionOutput, Detections, Size
from pocketvision.deploy.client.results import resize_labels
from pocketvision.deploy.runtimes.artifact import Artifact
from pocketvision.deploy.runtimes.protocol import Images, Runtime
from pocketvision.models.segmenter import label_maps


def detect(runtime: Runtime, images: Images) -> DetectionBatch:
    """Detections of images (N, 3, H, W), in pixels of these images, as ``Detector.predict`` gives them."""
    return finish_detections(runtime.artifact, runtime(images))


def finish_detections(artifact: Artifact, outputs: dict[str, Tensor]) -> DetectionBatch:
    """The outputs of a detector, raw or final -> detections, padded as far as the fullest image needs.

    Raises:
        ValueError: the artifact is no detector.
    """
    if artifact.postprocess is None:
        raise ValueError(f"the model is for {artifact.task}: only a detector gives detections.")
    if artifact.has_nms:
        size = int(outputs["num_detections"].max())
        boxes, scores, labels = (outputs[name][:, :size] for name in ("boxes", "scores", "labels"))
        return DetectionBatch(boxes, scores, labels, outputs["num_detections"])
    class_logits, box_deltas = outputs["class_logits"], outputs["box_deltas"]
    anchors = artifact.anchor_boxes.to(box_deltas.device)
    return artifact.postprocess(DetectionOutput(class_logits, box_deltas, anchors), artifact.image_size)


def restore_detections(
    artifact: Artifact, detections: DetectionBatch, original_sizes: Sequence[Size]
) -> list[Detections]:
    """Detections in pixels of each original image, of which the input was resized."""
    return [
        artifact.resize.restore(image, size)
        for image, size in zip(detections.unpad(), original_sizes, strict=True)
    ]


def segment(runtime: Runtime, images: Images, original_sizes: Sequence[Size]) -> list[Tensor]:
    """Label maps (H, W) uint8 of the original sizes, as ``Segmenter.predict`` gives them.

    An artifact with the label map inside knows no scores between its pixels: its map is enlarged by
    nearest neighbor.

    Raises:
        ValueError: the artifact is no segmenter.
    """
    return finish_label_maps(runtime.artifact, runtime(images), original_sizes)


def finish_label_maps(
    artifact: Artifact, outputs: dict[str, Tensor], original_sizes: Sequence[Size]
) -> list[Tensor]:
    """The outputs of a segmenter, logits or a label map -> label maps of the original sizes.

    Raises:
        ValueError: the artifact is no segmenter.
    """
    if artifact.task != "segmentation":
        raise ValueError(f"the model is for {artifact.task}: only a segmenter gives label maps.")
    if "logits" in outputs:
        return label_maps(outputs["logits"], artifact.class_names, artifact.resize, original_sizes)
    return [
        _nearest(label_map, artifact, size)
        for label_map, size in zip(outputs["label_map"], original_sizes, strict=True)
    ]


def _nearest(label_map: Tensor, artifact: Artifact, size: Size) -> Tensor:
    height, width = artifact.resize.content_size(size)
    content = label_map[:height, :width].cpu().numpy()
    return torch.from_numpy(resize_labels(content, size))


def classify(runtime: Runtime, images: Images) -> Tensor:
    """Softmax scores (N, K) float32, 0 for classes without a name, as ``Classifier.predict`` gives them.

    Raises:
        ValueError: the artifact is no classifier.
    """
    return finish_scores(runtime.artifact, runtime(images))


def finish_scores(artifact: Artifact, outputs: dict[str, Tensor]) -> Tensor:
    """The logits of a classifier -> scores (N, K).

    Raises:
        ValueError: the artifact is no classifier.
    """
    if artifact.task != "classification":
        raise ValueError(f"the model is for {artifact.task}: only a classifier gives scores of images.")
    scores = outputs["class_logits"].float().softmax(dim=1)
    scores[:, [index for index, name in enumerate(artifact.class_names) if name is None]] = 0.0
    return scores
