"""The data modules of the tasks: samples of their kind. A format adds its reader."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from pocketvision.core.resize import Tiling
from pocketvision.core.structures import ClassificationSamples, DetectionSamples, SegmentationSamples
from pocketvision.datasets.augment.recipes import (
    ClassificationAugmentation,
    DetectionAugmentation,
    SegmentationAugmentation,
)
from pocketvision.datasets.augment.strong import StrongAugmentation
from pocketvision.datasets.base_modules import BaseDataModule
from pocketvision.datasets.classification import ClassificationDataset, collate_classification
from pocketvision.datasets.detection import DetectionDataset, collate_detection
from pocketvision.datasets.images.read import read_size
from pocketvision.datasets.pseudo.joined import joined
from pocketvision.datasets.pseudo.order import SharedSampler, shared_factors
from pocketvision.datasets.pseudo.samples import PseudoDataset
from pocketvision.datasets.records.annotations import (
    ClassificationRecords,
    DetectionRecords,
    SegmentationRecords,
)
from pocketvision.datasets.records.splits import take
from pocketvision.datasets.repeats import drawing_factors
from pocketvision.datasets.samples import SampleDataset
from pocketvision.datasets.sampling import EpochSampler
from pocketvision.datasets.segmentation import SegmentationDataset, collate_segmentation
from pocketvision.datasets.tiles.table import Tiled, TileTable

_log = logging.getLogger("pocketvision")
_THREADS = 8
_CLASSIFICATION = ClassificationAugmentation()
_DETECTION = DetectionAugmentation()
_STRONG = StrongAugmentation()
_SEGMENTATION = SegmentationAugmentation()
_UNCHANGED = SegmentationAugmentation(scale=(1.0, 1.0), horizontal_flip=0.0, photometric=False)


@dataclass(eq=False)
class DetectionDataModule(BaseDataModule[DetectionRecords, DetectionSamples]):
    """Boxes.

    Attributes:
        pseudo: COCO data set of pictures whose labels a model made, to train on beside the labeled ones; its
            crowd boxes are painted over. ``train --unlabelled`` makes one.
        labeled_share: of the labeled pictures in every batch, where there are such.
        strong: what is done to pictures with pseudo-labels beside ``augmentation``.
    """

    collate = staticmethod(collate_detection)
    unknown_in_training: ClassVar[Literal["drop", "error"]] = "drop"
    """What to do with training boxes of classes that the model does not know."""

    augmentation: DetectionAugmentation | None = _DETECTION
    pseudo: str | Path | None = None
    labeled_share: float = 0.5
    strong: StrongAugmentation = _STRONG

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.labeled_share < 1:
            raise ValueError(
                f"data.labeled_share is {self.labeled_share!r}: give a share between 0 and 1, without both."
            )
        if self.pseudo is not None and self.tiling is not None:
            raise ValueError("data.pseudo is for pictures seen as a whole: leave data.tile_size out.")

    def read(self, split: str) -> DetectionRecords:
        records = super().read(split)
        is_joined = self.pseudo is not None and split == self.train_split
        return joined(records, str(self.pseudo)) if is_joined else records

    def select(self, records: DetectionRecords, split: str) -> DetectionRecords:
        unknown = self.unknown_in_training if split == self.train_split else "drop"
        return records.select(self.model_class_names or (), unknown=unknown)

    def dataset(self, split: str, *, train: bool) -> DetectionDataset:
        augmentation, tiled = self.augmentation if train else None, self.tiled(split)
        records, resize = self.records(split), self.connected_resize()
        if train and self.pseudo is not None:
            return PseudoDataset(records, resize, augmentation, seed=self.seed, strong=self.strong)
        return DetectionDataset(records, resize, augmentation, seed=self.seed, tiled=tiled)

    def sampler(self, dataset: SampleDataset[Any, Any, Any]) -> EpochSampler:
        if not isinstance(dataset, PseudoDataset):
            return super().sampler(dataset)
        labeled = take(dataset.records, np.flatnonzero(~dataset.is_pseudo))
        own = drawing_factors(labeled, self.repeat_threshold)
        own = np.ones(len(labeled)) if own is None else own
        factors = shared_factors(own, int(dataset.is_pseudo.sum()), self.labeled_share)
        return SharedSampler(dataset, self.seed, factors, dataset.is_pseudo)

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
        table = TileTable.of(picture_sizes(records), tiling)
        return Tiled(table, table.masks(records))


def picture_sizes(records: SegmentationRecords) -> npt.NDArray[np.int64]:
    """(N, 2) of all pictures, (height, width) as their files say.

    Raises:
        InputError: one can't be read.
    """
    with ThreadPoolExecutor(_THREADS) as pool:
        return np.array(list(pool.map(read_size, records.image_paths)), dtype=np.int64).reshape(-1, 2)


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
