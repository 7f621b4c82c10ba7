"""The images that a certificate is made with, and what is known to be on them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from pocketvision.core.errors import InputError
from pocketvision.core.resize import RGB, Image, PixelFormat
from pocketvision.core.structures import Detections
from pocketvision.datasets.coco.ground_truth import coco_dataset
from pocketvision.datasets.even_choice import spread_at_random
from pocketvision.datasets.formats.detect import detect_format
from pocketvision.datasets.images.bands import read_pixels
from pocketvision.datasets.images.read import match_mask, read_mask
from pocketvision.datasets.readers.tree import picture_files
from pocketvision.datasets.records.annotations import (
    AnyRecords,
    ClassificationRecords,
    DetectionRecords,
    SegmentationRecords,
)
from pocketvision.datasets.records.splits import take
from pocketvision.deploy.runtimes.artifact import Artifact
from pocketvision.metrics import AccuracyMetric, CocoMetric, IoUMetric

MAX_IMAGES = 64

logger = logging.getLogger("pocketvision")
_SPLITS = ("val", "test", "all")
"""Which of them is taken, the first that there is."""

METRICS = {"detection": "AP", "segmentation": "mIoU", "classification": "top1"}
"""Task -> the number by which its models are judged."""

_NUM_RANKED = 5


class ImageSet(NamedTuple):
    """Some images of a folder or of a split; ``records`` hold these only and are None without truth."""

    paths: tuple[str, ...]
    num_available: int
    place: str
    records: AnyRecords | None = None

    def read(self, index: int, pixels: PixelFormat = RGB) -> Image:
        """Image ``index``, as a model of ``pixels`` takes it.

        Raises:
            InputError: it is missing or broken.
        """
        return read_pixels(self.paths[index], pixels).pixels


class TruthScore:
    """AP, mIoU or top-1 accuracy of predictions on the images of ``records``."""

    def __init__(self, records: AnyRecords, class_names: Sequence[str | None]) -> None:
        self.records = records
        self.metric: AccuracyMetric | CocoMetric | IoUMetric
        if isinstance(records, DetectionRecords):
            ids = set(records.image_ids.tolist())
            truth = dict(coco_dataset(records))
            truth["images"] = [image for image in truth["images"] if image["id"] in ids]
            truth["annotations"] = [row for row in truth["annotations"] if row["image_id"] in ids]
            categories = [None if number < 0 else number for number in records.category_ids]
            self.metric = CocoMetric(truth, categories, class_names)
        elif isinstance(records, SegmentationRecords):
            self.metric = IoUMetric(class_names)
        else:
            self.metric = AccuracyMetric(class_names)

    def update(self, index: int, result: Detections | Tensor) -> None:
        """Add image ``index``: its detections, label map or class scores.

        Raises:
            InputError: its mask can't be read.
        """
        image_id = int(self.records.image_ids[index])
        if isinstance(self.metric, CocoMetric):
            assert isinstance(result, Detections)
            self.metric.update(image_id, result)
            return
        assert isinstance(result, Tensor)
        if isinstance(self.records, SegmentationRecords):
            assert isinstance(self.metric, IoUMetric)
            path = self.records.mask_paths[index]
            mask = match_mask(read_mask(path), self.records.image_paths[index])
            self.metric.update(result, self.records.to_classes(mask, path), image_id)
        else:
            assert isinstance(self.metric, AccuracyMetric)
            assert isinstance(self.records, ClassificationRecords)
            best = result.topk(min(_NUM_RANKED, len(result))).indices.tolist()
            self.metric.update(best, int(self.records.labels[index]))

    def value(self, task: str) -> float | None:
        """The number that METRICS names; None where the images hold nothing to find."""
        value: float | None = self.metric.compute()[METRICS[task]]
        return value


def find_images(data: Path, artifact: Artifact, limit: int = MAX_IMAGES) -> ImageSet:
    """Up to ``limit`` images of a data set of any format, or of a folder of images, evenly chosen.

    Of a data set with splits it is the validation split, else the test split. Images without truth that
    the model could be scored by are taken without it, and a line in the log says why.

    Raises:
        InputError: there are no images.
    """
    try:
        found = detect_format(data, artifact.task)
        if "class_names" in found.arguments:  # the masks have numbers only: take them for the model's
            found = replace(found, arguments={**found.arguments, "class_names": artifact.class_names})
        split = next((name for name in _SPLITS if name in found.splits), found.splits[0])
        raw = found.read(split)
        if isinstance(raw, SegmentationRecords):
            records: AnyRecords = raw.select(artifact.class_names, unknown="other")
        else:
            records = raw.select(artifact.class_names)
    except InputError as error:
        return _without_truth(data, limit, str(error))
    return images_of(records, f"{data}, split {split}", limit)


def images_of(records: AnyRecords, place: str, limit: int = MAX_IMAGES) -> ImageSet:
    """Up to ``limit`` images of ``records``, evenly chosen; ``place`` says where they are from.

    Raises:
        InputError: there are none.
    """
    indices = spread_at_random(len(records), limit)
    if not indices:
        raise InputError(f"{place} has no images: give a folder of images or a data set.")
    chosen = take(records, indices)
    return ImageSet(tuple(chosen.image_paths), len(records), place, chosen)


def _without_truth(data: Path, limit: int, reason: str) -> ImageSet:
    if not data.exists():
        raise InputError(f"There is no folder or data set {data}: check the path.")
    files = [data] if data.is_file() else sorted(data.rglob("*"))
    paths = [str(file) for file in picture_files(files) if file.is_file()]
    if not paths:
        raise InputError(f"{data} holds no images: give a folder of images or a data set.")
    logger.info("%s is compared without truth: %s", data, reason)
    return ImageSet(
        tuple(paths[index] for index in spread_at_random(len(paths), limit)), len(paths), str(data)
    )
