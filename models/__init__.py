"""Models: backbone + head, with normalisation and postprocessing."""

from pocketvision.models.detector import Detector
from pocketvision.models.postprocess import SSDPostprocess
from pocketvision.models.segmenter import Segmenter

__all__ = ["Detector", "SSDPostprocess", "Segmenter"]
