"""One data module a format; apart from the readers because it imports lightning.

All of them can make training and validation data from one split: with ``divide`` the images of that
split (``all`` where the data has no splits) are training or validation images by their file names, see
:func:`pocketvision.datasets.records.splits.divide`. Further options are those of the task's base.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Generic, Literal

from pocketvision.datasets.base_modules import (
    ClassificationDataModule,
    DetectionDataModule,
    SegmentationDataModule,
)
from pocketvision.datasets.readers.cityscapes import read_cityscapes
from pocketvision.datasets.readers.coco import read_coco
from pocketvision.datasets.readers.coco_segmentation import read_coco_segmentation
from pocketvision.datasets.readers.csv_boxes import read_csv_boxes
from pocketvision.datasets.readers.image_folder import read_image_folder
from pocketvision.datasets.readers.mask_colors import class_table
from pocketvision.datasets.readers.mask_folder import read_mask_folder
from pocketvision.datasets.readers.voc import read_voc
from pocketvision.datasets.readers.voc_segmentation import read_voc_segmentation
from pocketvision.datasets.readers.yolo import read_yolo
from pocketvision.datasets.records.annotations import (
    ClassificationRecords,
    DetectionRecords,
    SegmentationRecords,
)
from pocketvision.datasets.records.splits import SplitRecords, divide


class _Division(Generic[SplitRecords]):
    """Two parts of the split ``whole``, read once; None means that splits are as the data has them."""

    def __init__(self, whole: str | None, val_fraction: float, seed: int) -> None:
        self.whole, self.val_fraction, self.seed = whole, val_fraction, seed
        self._parts: tuple[SplitRecords, SplitRecords] | None = None

    def read(
        self, split: str, train_split: str, val_split: str, read: Callable[[str], SplitRecords]
    ) -> SplitRecords:
        """The part of that name, or the split as it is."""
        if self.whole is None or split not in (train_split, val_split):
            return read(split)
        if self._parts is None:
            self._parts = divide(read(self.whole), self.val_fraction, self.seed)
        return self._parts[split == val_split]


class _DividedDetection(DetectionDataModule):
    def __init__(
        self,
        root: str | Path,
        divide: str | None = None,
        val_fraction: float = 0.2,
        split_seed: int = 0,
        **options: Any,
    ) -> None:
        super().__init__(root, **options)
        self.division = _Division[DetectionRecords](divide, val_fraction, split_seed)

    @abstractmethod
    def read_split(self, split: str) -> DetectionRecords:
        """Read a split that the data has."""

    def read(self, split: str) -> DetectionRecords:
        return self.division.read(split, self.train_split, self.val_split, self.read_split)


class _DividedSegmentation(SegmentationDataModule):
    def __init__(
        self,
        root: str | Path,
        divide: str | None = None,
        val_fraction: float = 0.2,
        split_seed: int = 0,
        **options: Any,
    ) -> None:
        super().__init__(root, **options)
        self.division = _Division[SegmentationRecords](divide, val_fraction, split_seed)

    @abstractmethod
    def read_split(self, split: str) -> SegmentationRecords:
        """Read a split that the data has."""

    def read(self, split: str) -> SegmentationRecords:
        return self.division.read(split, self.train_split, self.val_split, self.read_split)


class CocoDataModule(_DividedDetection):
    """COCO; training boxes of classes that the model does not know are dropped with a warning."""

    def read_split(self, split: str) -> DetectionRecords:
        return read_coco(self.root, split)


class VocDataModule(_DividedDetection):
    """Pascal VOC; a training object with an unknown name is an error, as the name is probably misspelt."""

    unknown_in_training = "error"

    def read_split(self, split: str) -> DetectionRecords:
        return read_voc(self.root, split)


class YoloDataModule(_DividedDetection):
    """YOLO; ``root`` is the folder or its data.yaml."""

    def read_split(self, split: str) -> DetectionRecords:
        return read_yolo(self.root, split)


class CsvDataModule(_DividedDetection):
    """CSV files of boxes; ``root`` is their folder or the file. Unknown labels are errors as in VOC."""

    unknown_in_training = "error"

    def read_split(self, split: str) -> DetectionRecords:
        return read_csv_boxes(self.root, split)


class CocoSegmentationDataModule(_DividedSegmentation):
    """COCO with masks; class 0 is the background."""

    def read_split(self, split: str) -> SegmentationRecords:
        return read_coco_segmentation(self.root, split)


class VocSegmentationDataModule(_DividedSegmentation):
    """Pascal VOC with masks."""

    def read_split(self, split: str) -> SegmentationRecords:
        return read_voc_segmentation(self.root, split)


class CityscapesDataModule(_DividedSegmentation):
    """Cityscapes; ``annotations`` is gtFine or gtCoarse."""

    def __init__(
        self, root: str | Path, annotations: Literal["gtFine", "gtCoarse"] = "gtFine", **options: Any
    ) -> None:
        super().__init__(root, **options)
        self.annotations = annotations

    def read_split(self, split: str) -> SegmentationRecords:
        return read_cityscapes(self.root, split, self.annotations)


class MaskFolderDataModule(_DividedSegmentation):
    """Folders of images and masks.

    Class names are those given, else those in ``classes.txt``, else those of the connected model.
    With ``binary`` the mask value 255 is class 1; None looks at the masks if there are two classes.
    """

    def __init__(
        self,
        root: str | Path,
        class_names: Sequence[str | None] | None = None,
        ignore_ids: Sequence[int] = (),
        binary: bool | None = None,
        **options: Any,
    ) -> None:
        super().__init__(root, **options)
        self.own_class_names = None if class_names is None else tuple(class_names)
        self.ignore_ids = tuple(ignore_ids)
        self.binary = binary

    def read_split(self, split: str) -> SegmentationRecords:
        names = self.own_class_names
        if names is None and class_table(Path(self.root).expanduser()) is None:
            names = self.model_class_names
        return read_mask_folder(self.root, split, names, self.ignore_ids, self.binary)


class ImageFolderDataModule(ClassificationDataModule):
    """A folder a class; class names are the folders' in alphabetical order."""

    def __init__(
        self,
        root: str | Path,
        divide: str | None = None,
        val_fraction: float = 0.2,
        split_seed: int = 0,
        **options: Any,
    ) -> None:
        super().__init__(root, **options)
        self.division = _Division[ClassificationRecords](divide, val_fraction, split_seed)

    def read(self, split: str) -> ClassificationRecords:
        return self.division.read(
            split, self.train_split, self.val_split, lambda name: read_image_folder(self.root, name)
        )
