"""Files -> batches: one reader a format, augmentation, data sets, and (imported late) data modules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pocketvision.datasets.augment.recipes import (
    ClassificationAugmentation,
    DetectionAugmentation,
    SegmentationAugmentation,
)
from pocketvision.datasets.classification import ClassificationDataset, collate_classification
from pocketvision.datasets.coco.boxes import read_coco
from pocketvision.datasets.coco.segmentation import read_coco_segmentation
from pocketvision.datasets.detection import DetectionDataset, collate_detection
from pocketvision.datasets.images.read import read_image, read_mask
from pocketvision.datasets.masks.cityscapes import CITYSCAPES_NAMES, read_cityscapes
from pocketvision.datasets.masks.folders import read_mask_folder
from pocketvision.datasets.masks.voc import VOC_SEGMENTATION_NAMES, read_voc_segmentation
from pocketvision.datasets.readers.csv_boxes import read_csv_boxes
from pocketvision.datasets.readers.detect_format import FoundData, detect_format
from pocketvision.datasets.readers.image_folder import read_image_folder
from pocketvision.datasets.readers.voc import read_voc
from pocketvision.datasets.readers.yolo import read_yolo
from pocketvision.datasets.records.annotations import (
    ClassificationRecords,
    DetectionRecords,
    SegmentationRecords,
)
from pocketvision.datasets.records.splits import divide
from pocketvision.datasets.sampling import EpochSampler
from pocketvision.datasets.segmentation import SegmentationDataset, collate_segmentation

if TYPE_CHECKING:
    from pocketvision.datasets.base_modules import (
        ClassificationDataModule,
        DetectionDataModule,
        SegmentationDataModule,
    )
    from pocketvision.datasets.format_modules import (
        CityscapesDataModule,
        CocoDataModule,
        CocoSegmentationDataModule,
        CsvDataModule,
        ImageFolderDataModule,
        MaskFolderDataModule,
        VocDataModule,
        VocSegmentationDataModule,
        YoloDataModule,
    )
    from pocketvision.datasets.shapes_data import ShapesDetectionDataModule, ShapesSegmentationDataModule

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
    "DetectionRecords",
    "EpochSampler",
    "FoundData",
    "ImageFolderDataModule",
    "MaskFolderDataModule",
    "SegmentationAugmentation",
    "SegmentationDataModule",
    "SegmentationDataset",
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


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from pocketvision.datasets import base_modules, format_modules, shapes_data

    return next(vars(m)[name] for m in (format_modules, shapes_data, base_modules) if name in vars(m))
