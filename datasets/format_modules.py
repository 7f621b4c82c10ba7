"""One data module a format: the options of the task's base, and the format's reading."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypedDict

from pocketvision.core.errors import InputError
from pocketvision.core.structures import Size
from pocketvision.datasets.base_modules import BaseDataModule
from pocketvision.datasets.data_module import DataModule
from pocketvision.datasets.formats import format_named
from pocketvision.datasets.formats.cityscapes import read_cityscapes
from pocketvision.datasets.formats.contract import SplitReader
from pocketvision.datasets.formats.detect import FoundData
from pocketvision.datasets.formats.image_folder import read_image_folder
from pocketvision.datasets.formats.mask_folder import read_mask_folder
from pocketvision.datasets.masks.class_table import class_table
from pocketvision.datasets.readers.tree import FileTree
from pocketvision.datasets.records.annotations import (
    ClassificationRecords,
    DetectionRecords,
    SegmentationRecords,
)
from pocketvision.datasets.task_modules import (
    ClassificationDataModule,
    DetectionDataModule,
    SegmentationDataModule,
)

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from pocketvision.datasets.augment.recipes import SegmentationAugmentation
    from pocketvision.datasets.images.cache_setup import CacheKind
    from pocketvision.datasets.images.clips import Grouping


def data_module_of(found: FoundData) -> Callable[..., BaseDataModule[Any, Any]]:
    """What loads a data set that was found; it takes the options of its data module."""
    module: type[BaseDataModule[Any, Any]] = globals()[found.data_module]
    return partial(module, **found.arguments)


def training_records(data: DataModule[Any, Any]) -> tuple[Any, Any]:
    """The records that training starts from: those of the training and of the validation split.

    Raises:
        InputError: they can't be read, or there is nothing to learn from.
    """
    train, val = data.own_records(data.train_split), data.own_records(data.val_split)
    if isinstance(train, DetectionRecords) and bool(train.crowd.all()):
        raise InputError(f"{train.root} has no boxes to train on: annotate some, or choose another --task.")
    return train, val


@dataclass(eq=False)
class DetectionFormatDataModule(DetectionDataModule):
    """Boxes in any format that ``pocketvision.datasets.formats`` lists; ``format`` is its name.

    A training object with a name that the model does not know is an error: it is probably misspelled.
    """

    unknown_in_training: ClassVar[Literal["drop", "error"]] = "error"

    format: str = "coco"

    def read_split(self, split: str) -> DetectionRecords:
        records = self._reader.read(split)
        assert isinstance(records, DetectionRecords)
        return records

    @cached_property
    def _reader(self) -> SplitReader:
        return SplitReader(format_named(self.format), self.root)


@dataclass(eq=False)
class CocoDataModule(DetectionFormatDataModule):
    """COCO; training boxes of classes that the model does not know are dropped with a warning."""

    unknown_in_training: ClassVar[Literal["drop", "error"]] = "drop"

    format: str = "coco"


@dataclass(eq=False)
class VocDataModule(DetectionFormatDataModule):
    """Pascal VOC."""

    format: str = "voc"


@dataclass(eq=False)
class YoloDataModule(DetectionFormatDataModule):
    """YOLO; ``root`` is the folder or its data.yaml. Unknown classes are dropped as in COCO."""

    unknown_in_training: ClassVar[Literal["drop", "error"]] = "drop"

    format: str = "yolo"


@dataclass(eq=False)
class CsvDataModule(DetectionFormatDataModule):
    """CSV files of boxes; ``root`` is their folder or the file."""

    format: str = "csv"


@dataclass(eq=False)
class SegmentationFormatDataModule(SegmentationDataModule):
    """Masks in any format that ``pocketvision.datasets.formats`` lists; ``format`` is its name."""

    format: str = "coco_masks"

    def read_split(self, split: str) -> SegmentationRecords:
        records = self._reader.read(split)
        assert isinstance(records, SegmentationRecords)
        return records

    @cached_property
    def _reader(self) -> SplitReader:
        return SplitReader(format_named(self.format), self.root)


@dataclass(eq=False)
class CocoSegmentationDataModule(SegmentationFormatDataModule):
    """COCO with masks; class 0 is the background."""

    format: str = "coco_masks"


@dataclass(eq=False)
class VocSegmentationDataModule(SegmentationFormatDataModule):
    """Pascal VOC with masks."""

    format: str = "voc_masks"


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
    divide_by: Grouping
    repeat_threshold: float | None
    tile_size: int | Size | None
    tile_overlap: float
    empty_tiles: float


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
        if names is None and class_table(FileTree.of(self.root)) is None:
            names = self.model_class_names
        return read_mask_folder(self.root, split, names, self.ignore_ids, self.binary)


class ImageFolderDataModule(ClassificationDataModule):
    """A folder a class; class names are the folders' in alphabetical order."""

    def read_split(self, split: str) -> ClassificationRecords:
        return read_image_folder(self.root, split)
