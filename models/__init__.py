"""Models: backbone + head, with normalization and postprocessing; each is imported when it is asked for."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, TypeAlias

from pocketvision.models.postprocess import SSDPostprocess

if TYPE_CHECKING:
    from pocketvision.models.classifier import Classifier
    from pocketvision.models.detector import Detector
    from pocketvision.models.enlarge import Enlarge
    from pocketvision.models.joint import JointModel, SingleModel, detector_in
    from pocketvision.models.segmenter import Segmenter
    from pocketvision.models.shared_backbone import SharedBackbone

    VisionModel: TypeAlias = Classifier | Detector | Segmenter | JointModel
    """Any model that a task trains and an evaluation scores."""

__all__ = [
    "Classifier",
    "Detector",
    "Enlarge",
    "JointModel",
    "SSDPostprocess",
    "Segmenter",
    "SharedBackbone",
    "SingleModel",
    "VisionModel",
    "detector_in",
]  # fmt: skip
_PLACES = {
    "Classifier": "classifier", "Detector": "detector", "Segmenter": "segmenter", "JointModel": "joint",
    "SingleModel": "joint", "detector_in": "joint", "SharedBackbone": "shared_backbone",
    "Enlarge": "enlarge",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    """A model's class: an exported file needs none, and no PyTorch."""
    if name == "VisionModel":
        return __getattr__("SingleModel") | __getattr__("JointModel")
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"pocketvision.models.{_PLACES[name]}"), name)
