"""Generated shapes as data sets and data modules: drawn once a process and kept in memory."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from pocketvision.core.resize import Resize
from pocketvision.core.structures import IGNORE_INDEX
from pocketvision.datasets.augment.recipes import DetectionAugmentation, SegmentationAugmentation
from pocketvision.datasets.detection import DetectionDataset
from pocketvision.datasets.images.read import Array
from pocketvision.datasets.records.annotations import (
    UNEXPECTED,
    DetectionRecords,
    MissingSplitError,
    SegmentationRecords,
)
from pocketvision.datasets.segmentation import SegmentationDataset
from pocketvision.datasets.shapes import (
    SEGMENTATION_SHAPE_NAMES,
    SHAPE_NAMES,
    TEST_SEED,
    VAL_SEED,
    ShapeImage,
    generate,
)
from pocketvision.datasets.task_modules import DetectionDataModule, SegmentationDataModule

Series = tuple[int, int, int]
"""num_images, seed and image_size: the arguments of :func:`draw_series`."""

_DETECTION = DetectionAugmentation()
_SEGMENTATION = SegmentationAugmentation()
_RESIZE_ONLY = SegmentationAugmentation(scale=(1.0, 1.0), horizontal_flip=0.0, photometric=False)


@lru_cache(maxsize=4)
def draw_series(num_images: int, seed: int, image_size: int) -> tuple[ShapeImage, ...]:
    """Pictures 0 to ``num_images`` - 1 of a series: about 4 ms each, and nothing the next time.

    Forked loader workers share what was drawn before; spawned ones draw it again.
    """
    return tuple(generate(index, seed, image_size) for index in range(num_images))


def shapes_detection_records(num_images: int, seed: int, image_size: int = 192) -> DetectionRecords:
    """Truth of a series; the paths are only names, as there are no files."""
    pictures = draw_series(num_images, seed, image_size)
    boxes = np.concatenate([picture.boxes for picture in pictures])
    counts = [len(picture.labels) for picture in pictures]
    return DetectionRecords(
        root="shapes",
        image_paths=_names(num_images, seed),
        image_ids=np.arange(1, num_images + 1, dtype=np.int64),
        sizes=np.full((num_images, 2), image_size, dtype=np.int32),
        offsets=np.cumsum([0, *counts], dtype=np.int64),
        boxes=boxes,
        labels=np.concatenate([picture.labels for picture in pictures]),
        crowd=np.zeros(len(boxes), dtype=np.bool_),
        areas=(boxes[:, 2:] - boxes[:, :2]).prod(axis=1).astype(np.float64),
        class_names=SHAPE_NAMES,
        category_ids=tuple(range(1, len(SHAPE_NAMES) + 1)),
    )


def shapes_segmentation_records(num_images: int, seed: int) -> SegmentationRecords:
    """Names and ids of a series; the masks are drawn with the images."""
    lookup = np.full(256, UNEXPECTED, dtype=np.uint8)
    lookup[: len(SEGMENTATION_SHAPE_NAMES)] = range(len(SEGMENTATION_SHAPE_NAMES))
    lookup[IGNORE_INDEX] = IGNORE_INDEX
    names = _names(num_images, seed)
    image_ids = np.arange(1, num_images + 1, dtype=np.int64)
    return SegmentationRecords(names, names, image_ids, SEGMENTATION_SHAPE_NAMES, lookup)


def _names(num_images: int, seed: int) -> list[str]:
    return [f"shapes/{seed}/{index:06d}.png" for index in range(num_images)]


class ShapesDetectionDataset(DetectionDataset):
    """Pictures of a series with boxes; ``records`` may hold the truth for other classes or another order."""

    def __init__(
        self,
        num_images: int,
        seed: int,
        resize: Resize,
        augmentation: DetectionAugmentation | None = None,
        image_size: int = 192,
        records: DetectionRecords | None = None,
    ) -> None:
        self.series = num_images, seed, image_size
        records = records or shapes_detection_records(*self.series)
        super().__init__(records, resize, augmentation, seed=seed)

    def _read(self, index: int) -> Array:
        return draw_series(*self.series)[index].image


class ShapesSegmentationDataset(SegmentationDataset):
    """Pictures of a series with masks; ``records`` may map them to other classes."""

    def __init__(
        self,
        num_images: int,
        seed: int,
        resize: Resize,
        augmentation: SegmentationAugmentation | None = None,
        image_size: int = 192,
        records: SegmentationRecords | None = None,
    ) -> None:
        self.series = num_images, seed, image_size
        records = records or shapes_segmentation_records(num_images, seed)
        super().__init__(records, resize, augmentation, seed=seed)

    def read(self, index: int) -> tuple[Array, Array]:
        picture = draw_series(*self.series)[index]
        return picture.image, self.records.to_classes(picture.mask, self.records.mask_paths[index])


class ShapesDetectionDataModule(DetectionDataModule):
    """Boxes around shapes.

    Training pictures depend on ``seed``; those of the splits val and test are always the same.
    """

    def __init__(
        self,
        num_train: int = 800,
        num_val: int = 200,
        image_size: int = 192,
        batch_size: int = 32,
        eval_batch_size: int | None = None,
        num_workers: int | None = None,
        augmentation: DetectionAugmentation | None = _DETECTION,
        seed: int = 0,
        repeat_threshold: float | None = None,
    ) -> None:
        super().__init__(
            "shapes", batch_size, eval_batch_size, num_workers, augmentation, seed=seed,
            repeat_threshold=repeat_threshold,
        )  # fmt: skip
        self.series = _series(num_train, num_val, seed, image_size)

    def read_split(self, split: str) -> DetectionRecords:
        return shapes_detection_records(*_find(self.series, split))

    def dataset(self, split: str, *, train: bool) -> ShapesDetectionDataset:
        num_images, seed, image_size = _find(self.series, split)
        augmentation, records = self.augmentation if train else None, self.records(split)
        resize = self.connected_resize()
        return ShapesDetectionDataset(num_images, seed, resize, augmentation, image_size, records)


class ShapesSegmentationDataModule(SegmentationDataModule):
    """Masks of shapes, class 0 is the background. Pictures as in :class:`ShapesDetectionDataModule`."""

    def __init__(
        self,
        num_train: int = 800,
        num_val: int = 200,
        image_size: int = 192,
        batch_size: int = 32,
        eval_batch_size: int | None = None,
        num_workers: int | None = None,
        augmentation: SegmentationAugmentation | None = _SEGMENTATION,
        seed: int = 0,
    ) -> None:
        super().__init__("shapes", batch_size, eval_batch_size, num_workers, augmentation, seed=seed)
        self.series = _series(num_train, num_val, seed, image_size)

    def read_split(self, split: str) -> SegmentationRecords:
        return shapes_segmentation_records(*_find(self.series, split)[:2])

    def dataset(self, split: str, *, train: bool) -> ShapesSegmentationDataset:
        num_images, seed, image_size = _find(self.series, split)
        # Drawn before the loader forks its workers, so that they share the pictures.
        draw_series(num_images, seed, image_size)
        resize, records = self.connected_resize(), self.records(split)
        augmentation = (self.augmentation or _RESIZE_ONLY) if train else None
        return ShapesSegmentationDataset(num_images, seed, resize, augmentation, image_size, records)


def _series(num_train: int, num_val: int, seed: int, image_size: int) -> dict[str, Series]:
    for name, value in (("num_train", num_train), ("num_val", num_val), ("image_size", image_size)):
        if not isinstance(value, int) or value < 1:
            raise ValueError(f"data.{name} is {value!r}: give a whole number from 1 up.")
    return {
        "train": (num_train, seed, image_size),
        "val": (num_val, VAL_SEED, image_size),
        "test": (num_val, TEST_SEED, image_size),
    }


def _find(series: dict[str, Series], split: str) -> Series:
    if split not in series:
        known = ", ".join(sorted(series))
        raise MissingSplitError(f"shapes has no split '{split}': it has {known}; name one of these.")
    return series[split]
