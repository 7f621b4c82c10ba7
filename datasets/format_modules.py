"""One data module a format: the options of the task's base, and a reader."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, TypedDict

from pocketvision.datasets.base_modules import (
    ClassificationDataModule,
    DetectionDataModule,
    SegmentationDataModule,
)
from pocketvision.datasets.coco.boxes import read_coco
from pocketvision.datasets.coco.segmentation import read_coco_segmentation
from pocketvision.datasets.masks.cityscapes import read_cityscapes
from pocketvision.datasets.masks.colors import class_table
from pocketvision.datasets.masks.folders import read_mask_folder
from pocketvision.datasets.masks.voc import read_voc_segmentation
from pocketvision.datasets.readers.csv_boxes import read_csv_boxes
from pocketvision.datasets.readers.image_folder import read_image_folder
from pocketvision.datasets.readers.voc import read_voc
from pocketvision.datasets.readers.yolo import read_yolo
from pocketvision.datasets.records.annotations import (
    ClassificationRecords,
    DetectionRecords,
    SegmentationRecords,
)

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from pocketvision.datasets.augment.recipes import SegmentationAugmentation
    from pocketvision.datasets.images.cache_setup import CacheKind


class CocoDataModule(DetectionDataModule):
    """COCO; training boxes of classes that the model does not know are dropped with a warning."""

    def read_split(self, split: str) -> DetectionRecords:
        return read_coco(self.root, split)


class VocDataModule(DetectionDataModule):
    """Pascal VOC; a training object with an unknown name is an error, as the name is probably misspelled."""

    unknown_in_training: ClassVar[Literal["drop", "error"]] = "error"

    def read_split(self, split: str) -> DetectionRecords:
        return read_voc(self.root, split)


class YoloDataModule(DetectionDataModule):
    """YOLO; ``root`` is the folder or its data.yaml."""

    def read_split(self, split: str) -> DetectionRecords:
        return read_yolo(self.root, split)


class CsvDataModule(DetectionDataModule):
    """CSV files of boxes; ``root`` is their folder or the file. Unknown labels are errors as in VOC."""

    unknown_in_training: ClassVar[Literal["drop", "error"]] = "error"

    def read_split(self, split: str) -> DetectionRecords:
        return read_csv_boxes(self.root, split)


class CocoSegmentationDataModule(SegmentationDataModule):
    """COCO with masks; class 0 is the background."""

    def read_split(self, split: str) -> SegmentationRecords:
        return read_coco_segmentation(self.root, split)


class VocSegmentationDataModule(SegmentationDataModule):
    """Pascal VOC with masks."""

    def read_split(self, split: str) -> SegmentationRecords:
        return read_voc_segmentation(self.root, split)


@dataclass(eq=False)
class CityscapesDataModule(SegmentationDataModule):
    """Cityscapes; ``annotations`` is gtFine or gtCoarse."""

    annotations: Literal["gtFine", "gtCoarse"] = "gtFine"

    def read_split(self, split: str) -> SegmentationRecords:
        return read_cityscapes(self.root, split, self.annotations)


class SegmentationOptions(TypedDict, total=False):
    """What a :class:`SegmentationDataModule` takes beside ``root``."""

    batch_size: int
    eval_batch_size: int | None
    num_workers: int | None
    augmentation: SegmentationAugmentation | None
    train_split: str
    val_split: str
    test_split: str
    seed: int
    strict: bool
    cache: CacheKind | None
    cache_gib: float
    divide: str | None
    val_fraction: float
    split_seed: int


class MaskFolderDataModule(SegmentationDataModule):
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
        **options: Unpack[SegmentationOptions],
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

    def read_split(self, split: str) -> ClassificationRecords:
        return read_image_folder(self.root, split)
