"""Models: backbone + head, with normalization and postprocessing."""

from pocketvision.models.classifier import Classifier
from pocketvision.models.detector import Detector
from pocketvision.models.postprocess import SSDPostprocess
from pocketvision.models.segmenter import Segmenter

VisionModel = Classifier | Detector | Segmenter
"""Any model that a task trains and an evaluation scores."""

__all__ = ["Classifier", "Detector", "SSDPostprocess", "Segmenter", "VisionModel"]
