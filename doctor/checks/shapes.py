"""Stretch or letterbox, by how much the shapes of the pictures differ; the input size for masks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from pocketvision.core.structures import Size
from pocketvision.datasets.even_choice import first_to_last
from pocketvision.datasets.images.read import read_size
from pocketvision.datasets.records.annotations import AnyRecords, DetectionRecords, SegmentationRecords
from pocketvision.doctor.checks.classes import training_splits

MAX_LOOKED_AT = 100
"""Pictures with masks whose sizes are read."""
_MASKS, _BOXES = 1.1, 2.0
_ENDS = (0.05, 0.95)
_MAX_PIXELS, _SIDE_STEP = 512 * 768, 8


class ResizeAdvice(NamedTuple):
    """``spread``: how many times as wide for its height the widest picture is as the narrowest.

    Up to ``limit`` stretching distorts all about alike, and wastes nothing; beyond it, letterboxing shows an
    object in every picture in its own shape.
    """

    spread: float
    limit: float

    @property
    def mode(self) -> Literal["stretch", "letterbox"]:
        return "stretch" if self.spread <= self.limit else "letterbox"

    def line(self) -> str:
        """For a person."""
        return (
            f"resize: {self.mode}, as width to height differs {self.spread:.2f} times between pictures "
            f"(letterbox beyond {self.limit:g}): model.mode"
        )


def advise_boxes(train: DetectionRecords) -> ResizeAdvice:
    """For boxes: letterbox where shapes differ more than the crops of training do, which is twice.

    One picture in twenty at either end may be of any shape.
    """
    ratios = train.sizes[:, 1] / train.sizes[:, 0]
    low, high = np.quantile(ratios, _ENDS).tolist()
    return ResizeAdvice(high / low, _BOXES)


def advise_masks(sizes: npt.NDArray[np.float64]) -> ResizeAdvice:
    """For masks of pictures (N, 2) of (height, width): letterbox where shapes differ at all."""
    ratios = sizes[:, 1] / sizes[:, 0]
    return ResizeAdvice(float(ratios.max() / ratios.min()), _MASKS)


def fit_size(train: SegmentationRecords) -> tuple[Size, ResizeAdvice]:
    """Input size of the images' own shape, at most as many pixels as 512x768, and the mode of resizing."""
    looked_at = first_to_last(len(train), MAX_LOOKED_AT)
    sizes = np.array([read_size(train.image_paths[i]) for i in looked_at], dtype=np.float64)
    shape = np.median(sizes, axis=0)
    factor = min(1.0, np.sqrt(_MAX_PIXELS / shape.prod()))
    height, width = (max(32, round(side * factor / _SIDE_STEP) * _SIDE_STEP) for side in shape.tolist())
    return (height, width), advise_masks(sizes)


def advise(readings: Mapping[str, AnyRecords], sizes: Mapping[str, Size | None]) -> ResizeAdvice | None:
    """What ``train --data`` does, from the training pictures and the ``sizes`` by their paths; None for
    classifiers, and without pictures."""
    split = next(iter(training_splits(readings)), None)
    train = None if split is None else readings[split]
    if isinstance(train, DetectionRecords) and len(train):
        return advise_boxes(train)
    if not isinstance(train, SegmentationRecords):
        return None
    chosen = (train.image_paths[i] for i in first_to_last(len(train), MAX_LOOKED_AT))
    known = [size for path in chosen if (size := sizes.get(path)) is not None]
    return advise_masks(np.array(known, dtype=np.float64)) if known else None
