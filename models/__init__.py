"""Models: backbone + head, with normalisation and postprocessing."""

from pocketvision.models.detector import Detector
from pocketvision.models.postprocess import SSDPostprocess
from pocketvision.models.segmenter import Segmenter

VisionModel = Detector | Segmenter
"""Any model that a task trains and an evaluation scores."""

__all__ = ["Detector", "SSDPostprocess", "Segmenter", "VisionModel"]
