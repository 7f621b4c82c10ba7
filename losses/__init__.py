"""Losses: predictions and truth -> named scalars. All are frozen values without weights."""

from pocketvision.losses.classification import ClassificationCrossEntropy
from pocketvision.losses.cross_entropy import SegmentationCrossEntropy
from pocketvision.losses.focal import FocalLoss
from pocketvision.losses.matcher import IoUMatcher
from pocketvision.losses.regions import DiceLoss, LovaszLoss
from pocketvision.losses.ssd import SSDLoss

__all__ = [
    "ClassificationCrossEntropy",
    "DiceLoss",
    "FocalLoss",
    "IoUMatcher",
    "LovaszLoss",
    "SSDLoss",
    "SegmentationCrossEntropy",
]
