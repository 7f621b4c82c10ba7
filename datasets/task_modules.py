"""The data modules of the tasks: samples of their kind. A format adds its reader."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from pocketvision.core.resize import Tiling
from pocketvision.core.structures import ClassificationSamples, DetectionSamples, SegmentationSamples
from pocketvision.datasets.augment.recipes import (
    ClassificationAugmentation,
    DetectionAugmentation,
    SegmentationAugmentation,
)
from pocketvision.datasets.base_modules import BaseDataModule
from pocketvision.datasets.classification import ClassificationDataset, collate_classification
from pocketvision.datasets.detection import DetectionDataset, collate_detection
from pocketvision.datasets.images.read import read_size
from pocketvision.datasets.records.annotations import (
    ClassificationRecords,
    DetectionRecords,
    SegmentationRecords,
)
from pocketvision.datasets.samples import SampleDataset
from pocketvision.datasets.segmentation import SegmentationDataset, collate_segmentation
from pocketvision.datasets.tiles.table import Tiled, TileTable

_log = logging.getLogger("pocketvision")
_THREADS = 8
_CLASSIFICATION = ClassificationAugmentation()
_DETECTION = DetectionAugmentation()
_SEGMENTATION = SegmentationAugmentation()
_UNCHANGED = SegmentationAugmentation(scale=(1.0, 1.0), horizontal_flip=0.0, photometric=False)


@dataclass(eq=False)
class DetectionDataModule(BaseDataModule[DetectionRecords, DetectionSamples]):
    """Boxes."""

    collate = staticmethod(collate_detection)
    unknown_in_training: ClassVar[Literal["drop", "error"]] = "drop"
    """What to do with training boxes of classes that the model does not know."""

    augmentation: DetectionAugmentation | None = _DETECTION

    def select(self, records: DetectionRecords, split: str) -> DetectionRecords:
        unknown = self.unknown_in_training if split == self.train_split else "drop"
        return records.select(self.model_class_names or (), unknown=unknown)

    def dataset(self, split: str, *, train: bool) -> DetectionDataset:
        augmentation, tiled = self.augmentation if train else None, self.tiled(split)
        records, resize = self.records(split), self.connected_resize()
        return DetectionDataset(records, resize, augmentation, seed=self.seed, tiled=tiled)

    def cut(self, records: DetectionRecords, tiling: Tiling) -> Tiled[DetectionRecords]:
        table = TileTable.of(records.sizes, tiling)
        return Tiled(table, table.boxes(records))

    def limit(self, dataset: SampleDataset[Any, Any, Any], num_epochs: int | None) -> None:
        if self.augmentation is None or not self.augmentation.mixes or num_epochs is None:
            return
        if isinstance(dataset, DetectionDataset):
            dataset.close_from = num_epochs - self.augmentation.num_closed(num_epochs)
            _log.info(
                "mosaic, mixup and copy-paste are used in %d of %d epochs", dataset.close_from, num_epochs
            )


@dataclass(eq=False)
class SegmentationDataModule(BaseDataModule[SegmentationRecords, SegmentationSamples]):
    """Masks."""

    collate = staticmethod(collate_segmentation)

    batch_size: int = 16
    augmentation: SegmentationAugmentation | None = _SEGMENTATION

    def select(self, records: SegmentationRecords, split: str) -> SegmentationRecords:
        return records.select(self.model_class_names or (), unknown="other")

    def dataset(self, split: str, *, train: bool) -> SegmentationDataset:
        augmentation = (self.augmentation or _UNCHANGED) if train else None
        records, resize, tiled = self.records(split), self.connected_resize(), self.tiled(split)
        return SegmentationDataset(records, resize, augmentation, seed=self.seed, tiled=tiled)

    def cut(self, records: SegmentationRecords, tiling: Tiling) -> Tiled[SegmentationRecords]:
        with ThreadPoolExecutor(_THREADS) as pool:
            sizes = np.array(list(pool.map(read_size, records.image_paths)), dtype=np.int64).reshape(-1, 2)
        table = TileTable.of(sizes, tiling)
        return Tiled(table, table.masks(records))


@dataclass(eq=False)
class ClassificationDataModule(BaseDataModule[ClassificationRecords, ClassificationSamples]):
    """Classes of whole images."""

    collate = staticmethod(collate_classification)

    batch_size: int = 64
    augmentation: ClassificationAugmentation | None = _CLASSIFICATION

    def select(self, records: ClassificationRecords, split: str) -> ClassificationRecords:
        return records.select(self.model_class_names or ())

    def dataset(self, split: str, *, train: bool) -> ClassificationDataset:
        augmentation = self.augmentation if train else None
        self.tiled(split)  # which refuses them
        return ClassificationDataset(
            self.records(split), self.connected_resize(), augmentation, seed=self.seed
        )
