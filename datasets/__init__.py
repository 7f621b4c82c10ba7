"""Files -> batches: one reader a format, augmentation, data sets, and (imported late) data modules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pocketvision.datasets.augmentation import DetectionAugmentation, SegmentationAugmentation
from pocketvision.datasets.cityscapes import CITYSCAPES_NAMES, read_cityscapes
from pocketvision.datasets.coco import read_coco
from pocketvision.datasets.detection import DetectionDataset, collate_detection
from pocketvision.datasets.images import read_image, read_mask
from pocketvision.datasets.mask_folder import read_mask_folder
from pocketvision.datasets.records import DetectionRecords, SegmentationRecords
from pocketvision.datasets.sampling import EpochSampler
from pocketvision.datasets.segmentation import SegmentationDataset, collate_segmentation
from pocketvision.datasets.voc import read_voc

if TYPE_CHECKING:
    from pocketvision.datasets.base_modules import DetectionDataModule, SegmentationDataModule
    from pocketvision.datasets.format_modules import (
        CityscapesDataModule,
        CocoDataModule,
        MaskFolderDataModule,
        VocDataModule,
    )
    from pocketvision.datasets.shapes_data import ShapesDetectionDataModule, ShapesSegmentationDataModule

__all__ = [
    "CITYSCAPES_NAMES",
    "CityscapesDataModule",
    "CocoDataModule",
    "DetectionAugmentation",
    "DetectionDataModule",
    "DetectionDataset",
    "DetectionRecords",
    "EpochSampler",
    "MaskFolderDataModule",
    "SegmentationAugmentation",
    "SegmentationDataModule",
    "SegmentationDataset",
    "SegmentationRecords",
    "ShapesDetectionDataModule",
    "ShapesSegmentationDataModule",
    "VocDataModule",
    "collate_detection",
    "collate_segmentation",
    "read_cityscapes",
    "read_coco",
    "read_image",
    "read_mask",
    "read_mask_folder",
    "read_voc",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from pocketvision.datasets import base_modules, format_modules, shapes_data

    return next(vars(m)[name] for m in (format_modules, shapes_data, base_modules) if name in vars(m))
