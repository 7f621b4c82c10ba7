"""Files -> batches: readers, augmentation, data sets and data modules; each is imported when asked for."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pocketvision.datasets.augment.recipes import (
        ClassificationAugmentation,
        DetectionAugmentation,
        SegmentationAugmentation,
    )
    from pocketvision.datasets.classification import ClassificationDataset, collate_classification
    from pocketvision.datasets.detection import DetectionDataset, collate_detection
    from pocketvision.datasets.format_modules import (
        CityscapesDataModule,
        CocoDataModule,
        CocoSegmentationDataModule,
        CsvDataModule,
        DetectionFormatDataModule,
        ImageFolderDataModule,
        MaskFolderDataModule,
        SegmentationFormatDataModule,
        VocDataModule,
        VocSegmentationDataModule,
        YoloDataModule,
    )
    from pocketvision.datasets.formats.cityscapes import CITYSCAPES_NAMES, read_cityscapes
    from pocketvision.datasets.formats.coco import read_coco
    from pocketvision.datasets.formats.coco_masks import read_coco_segmentation
    from pocketvision.datasets.formats.csv_boxes import read_csv_boxes
    from pocketvision.datasets.formats.detect import FoundData, detect_format
    from pocketvision.datasets.formats.image_folder import read_image_folder
    from pocketvision.datasets.formats.mask_folder import read_mask_folder
    from pocketvision.datasets.formats.voc import read_voc
    from pocketvision.datasets.formats.voc_masks import VOC_SEGMENTATION_NAMES, read_voc_segmentation
    from pocketvision.datasets.formats.yolo import read_yolo
    from pocketvision.datasets.images.read import read_image, read_mask
    from pocketvision.datasets.joint import JointDataModule
    from pocketvision.datasets.records.annotations import (
        ClassificationRecords,
        DetectionRecords,
        SegmentationRecords,
    )
    from pocketvision.datasets.records.splits import divide
    from pocketvision.datasets.sampling import EpochSampler
    from pocketvision.datasets.segmentation import SegmentationDataset, collate_segmentation
    from pocketvision.datasets.shapes_data import ShapesDetectionDataModule, ShapesSegmentationDataModule
    from pocketvision.datasets.task_modules import (
        ClassificationDataModule,
        DetectionDataModule,
        SegmentationDataModule,
    )

__all__ = [
    "CITYSCAPES_NAMES",
    "VOC_SEGMENTATION_NAMES",
    "CityscapesDataModule",
    "ClassificationAugmentation",
    "ClassificationDataModule",
    "ClassificationDataset",
    "ClassificationRecords",
    "CocoDataModule",
    "CocoSegmentationDataModule",
    "CsvDataModule",
    "DetectionAugmentation",
    "DetectionDataModule",
    "DetectionDataset",
    "DetectionFormatDataModule",
    "DetectionRecords",
    "EpochSampler",
    "FoundData",
    "ImageFolderDataModule",
    "JointDataModule",
    "MaskFolderDataModule",
    "SegmentationAugmentation",
    "SegmentationDataModule",
    "SegmentationDataset",
    "SegmentationFormatDataModule",
    "SegmentationRecords",
    "ShapesDetectionDataModule",
    "ShapesSegmentationDataModule",
    "VocDataModule",
    "VocSegmentationDataModule",
    "YoloDataModule",
    "collate_classification",
    "collate_detection",
    "collate_segmentation",
    "detect_format",
    "divide",
    "read_cityscapes",
    "read_coco",
    "read_coco_segmentation",
    "read_csv_boxes",
    "read_image",
    "read_image_folder",
    "read_mask",
    "read_mask_folder",
    "read_voc",
    "read_voc_segmentation",
    "read_yolo",
]
_PLACES = {
    "augment.recipes": (
        "ClassificationAugmentation",
        "DetectionAugmentation",
        "SegmentationAugmentation",
    ),
    "task_modules": (
        "ClassificationDataModule",
        "DetectionDataModule",
        "SegmentationDataModule",
    ),
    "classification": (
        "ClassificationDataset",
        "collate_classification",
    ),
    "detection": (
        "DetectionDataset",
        "collate_detection",
    ),
    "format_modules": (
        "CityscapesDataModule",
        "CocoDataModule",
        "CocoSegmentationDataModule",
        "CsvDataModule",
        "DetectionFormatDataModule",
        "ImageFolderDataModule",
        "MaskFolderDataModule",
        "SegmentationFormatDataModule",
        "VocDataModule",
        "VocSegmentationDataModule",
        "YoloDataModule",
    ),
    "formats.cityscapes": (
        "CITYSCAPES_NAMES",
        "read_cityscapes",
    ),
    "formats.coco": ("read_coco",),
    "formats.coco_masks": ("read_coco_segmentation",),
    "formats.csv_boxes": ("read_csv_boxes",),
    "formats.detect": (
        "FoundData",
        "detect_format",
    ),
    "formats.image_folder": ("read_image_folder",),
    "formats.mask_folder": ("read_mask_folder",),
    "formats.voc": ("read_voc",),
    "formats.voc_masks": (
        "VOC_SEGMENTATION_NAMES",
        "read_voc_segmentation",
    ),
    "formats.yolo": ("read_yolo",),
    "images.read": (
        "read_image",
        "read_mask",
    ),
    "joint": ("JointDataModule",),
    "records.annotations": (
        "ClassificationRecords",
        "DetectionRecords",
        "SegmentationRecords",
    ),
    "records.splits": ("divide",),
    "sampling": ("EpochSampler",),
    "segmentation": (
        "SegmentationDataset",
        "collate_segmentation",
    ),
    "shapes_data": (
        "ShapesDetectionDataModule",
        "ShapesSegmentationDataModule",
    ),
}
"""Module -> what it gives."""


def __getattr__(name: str) -> Any:
    """One of ``__all__``: reading a picture needs neither PyTorch nor the readers of data sets."""
    place = next((place for place, names in _PLACES.items() if name in names), None)
    if place is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"pocketvision.datasets.{place}"), name)
