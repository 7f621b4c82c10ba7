"""Whether masks are so fine for a model's input that pictures should be shown in tiles, and in which."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np

from pocketvision.core.errors import InputError
from pocketvision.core.structures import Size
from pocketvision.datasets.even_choice import first_to_last
from pocketvision.datasets.images.read import read_mask, read_size
from pocketvision.datasets.records.annotations import Mask, SegmentationRecords
from pocketvision.doctor.checks.classes import training_splits
from pocketvision.doctor.checks.shapes import fit_size

LITTLE, ENOUGH = 0.8, 0.9
"""Mean IoU of masks with themselves, shrunk to an input and enlarged again: pictures are shown in tiles where
whole ones keep less than the first, and tiles are as large as the second allows."""
_LOOKED_AT = 16
_LENGTHS = (4.0, 3.0, 2.0, 1.5, 1.0)
"""Of a tile, in those of the input."""
_MAX_SHARE = 0.5
"""Of a tile in the usual picture."""


@dataclass(frozen=True)
class MaskTileAdvice:
    """Tiles of ``tile`` (height, width) pixels; whole masks keep a mean IoU of ``kept`` at ``image_size``."""

    tile: Size
    kept: float
    image_size: Size

    def as_row(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)

    def reason(self) -> str:
        """Why, in words."""
        height, width = self.image_size
        return (
            f"masks shrunk to {width}x{height}, and enlarged again, overlap themselves by a mean IoU of "
            f"{self.kept:.2f}, which bounds any model's"
        )


def suggest_mask_tiles(train: SegmentationRecords, image_size: Size) -> MaskTileAdvice | None:
    """Tiles for masks whose detail an input of ``image_size`` loses; None where whole pictures do.

    Tiles have the input's shape and are never enlarged: pixels that a picture does not have teach nothing.

    Raises:
        InputError: a mask can't be read.
    """
    if not len(train):
        return None
    chosen, num_classes = first_to_last(len(train), _LOOKED_AT), len(train.class_names)
    (kept,) = kept_iou(_masks(train, chosen), num_classes, [lambda _: image_size])
    if kept >= LITTLE:
        return None
    area = float(np.median([math.prod(read_size(train.image_paths[i])) for i in chosen]))
    lengths = [k for k in _LENGTHS if k**2 * image_size[0] * image_size[1] <= _MAX_SHARE * area]
    if not lengths:
        return None
    ious = kept_iou(_masks(train, chosen), num_classes, [_shorter(length) for length in lengths])
    length = next((k for k, iou in zip(lengths, ious, strict=True) if iou >= ENOUGH), lengths[-1])
    return MaskTileAdvice((round(image_size[0] * length), round(image_size[1] * length)), kept, image_size)


def advise_mask_tiles(readings: Mapping[str, SegmentationRecords]) -> MaskTileAdvice | None:
    """What ``train --data`` does, from the training pictures; None without some that can be read."""
    split = next(iter(training_splits(readings)), None)
    train = None if split is None else readings[split]
    if not train:
        return None
    try:
        return suggest_mask_tiles(train, fit_size(train)[0])
    except InputError:
        return None  # what can't be read is told by the check of the files


def kept_iou(
    masks: Iterator[Mask], num_classes: int, shrinkings: Sequence[Callable[[Size], Size]]
) -> list[float]:
    """The mean IoU, over the classes that occur, of masks (H, W) and what is left of them after each of
    ``shrinkings``, which say the smaller size for a mask's, and enlarging again."""
    counts = np.zeros((len(shrinkings), 3, num_classes), dtype=np.int64)
    for mask in masks:
        known = mask < num_classes
        for row, smaller in zip(counts, shrinkings, strict=True):
            height, width = smaller(mask.shape)
            small = cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST)
            again = cv2.resize(small, mask.shape[::-1], interpolation=cv2.INTER_NEAREST)
            found = mask[known & (again == mask)], mask[known], again[known]
            row += [np.bincount(pixels, minlength=256)[:num_classes] for pixels in found]
    both, true, left = counts.transpose(1, 0, 2)
    union = true + left - both
    occurs = true[0] > 0
    return [float(i[occurs].sum() / max(occurs.sum(), 1)) for i in both / np.maximum(union, 1)]


def _masks(train: SegmentationRecords, chosen: Sequence[int]) -> Iterator[Mask]:
    for index in chosen:
        path = train.mask_paths[index]
        yield train.to_classes(read_mask(path), path)


def _shorter(length: float) -> Callable[[Size], Size]:
    return lambda size: (max(1, round(size[0] / length)), max(1, round(size[1] / length)))
