"""Exported models with the ``predict`` of our own, so that whatever takes one takes the other."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from pocketvision.core.structures import DetectionBatch, Detections, Size
from pocketvision.deploy.runtimes.part import PartRuntime
from pocketvision.deploy.runtimes.protocol import Runtime
from pocketvision.deploy.runtimes.results import classify, detect, restore_detections, segment
from pocketvision.models import SSDPostprocess


class _Predictor:
    """A runtime and the class names of its model."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.class_names = runtime.artifact.class_names


class DetectionRuntime(_Predictor):
    """A detector: as ``Detector``."""

    @property
    def postprocess(self) -> SSDPostprocess | None:
        """What is done with its raw outputs."""
        return self.runtime.artifact.postprocess

    def predict(self, images: Tensor) -> DetectionBatch:
        """Detections in pixels of images (N, 3, H, W)."""
        return detect(self.runtime, images)

    def restore(self, detections: DetectionBatch, original_sizes: Sequence[Size]) -> list[Detections]:
        """Detections in pixels of the original images."""
        return restore_detections(self.runtime.artifact, detections, original_sizes)


class SegmentationRuntime(_Predictor):
    """A segmenter: as ``Segmenter``."""

    def predict(self, images: Tensor, original_sizes: Sequence[Size]) -> list[Tensor]:
        """Label maps (H, W) uint8 of the original sizes."""
        return segment(self.runtime, images, original_sizes)


class ClassificationRuntime(_Predictor):
    """A classifier: as ``Classifier``."""

    def predict(self, images: Tensor) -> Tensor:
        """Scores (N, K)."""
        return classify(self.runtime, images)


class JointRuntime(_Predictor):
    """A model of several tasks: as ``JointModel``, what predicts for each of them."""

    def part(self, task: str) -> RuntimePredictor:
        """The predictor for a task."""
        return predictor_of(PartRuntime(self.runtime, task))


RuntimePredictor = DetectionRuntime | SegmentationRuntime | ClassificationRuntime | JointRuntime


def predictor_of(runtime: Runtime) -> RuntimePredictor:
    """The predictor for what the exported model does."""
    kinds: dict[str, type[RuntimePredictor]] = {
        "detection": DetectionRuntime,
        "segmentation": SegmentationRuntime,
        "classification": ClassificationRuntime,
        "joint": JointRuntime,
    }
    return kinds[runtime.artifact.task](runtime)
