"""Losses: predictions and truth -> named scalars. All are frozen values without weights."""

from pocketvision.losses.classification import ClassificationCrossEntropy
from pocketvision.losses.cross_entropy import SegmentationCrossEntropy
from pocketvision.losses.distillation import Distillation, PixelDistillation
from pocketvision.losses.focal import FocalLoss
from pocketvision.losses.gfl import GFLLoss
from pocketvision.losses.lowest_cost import DynamicSoftLabelAssigner, SimOTAAssigner
from pocketvision.losses.matcher import IoUMatcher
from pocketvision.losses.nearest_centers import ATSSAssigner
from pocketvision.losses.regions import DiceLoss, LovaszLoss
from pocketvision.losses.ssd import SSDLoss
from pocketvision.losses.task_aligned import TaskAlignedAssigner

__all__ = [
    "ATSSAssigner",
    "ClassificationCrossEntropy",
    "DiceLoss",
    "Distillation",
    "DynamicSoftLabelAssigner",
    "FocalLoss",
    "GFLLoss",
    "IoUMatcher",
    "LovaszLoss",
    "PixelDistillation",
    "SSDLoss",
    "SegmentationCrossEntropy",
    "SimOTAAssigner",
    "TaskAlignedAssigner",
]
