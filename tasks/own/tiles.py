"""Whether pictures are shown to a model in tiles, of which size, and what training then learns from."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pocketvision.core.resize import Tiling
from pocketvision.core.structures import Size
from pocketvision.datasets.data_module import AnyData
from pocketvision.datasets.records.annotations import (
    AnyRecords,
    ClassificationRecords,
    DetectionRecords,
    SegmentationRecords,
)
from pocketvision.datasets.records.splits import take
from pocketvision.datasets.repeats import class_presence, drawing_factors
from pocketvision.datasets.sampling import num_drawn
from pocketvision.datasets.task_modules import picture_sizes
from pocketvision.datasets.tiles.table import TileTable
from pocketvision.doctor.anchors.tiles import TileAdvice, suggest_tiles
from pocketvision.doctor.checks.detail import MaskTileAdvice, suggest_mask_tiles
from pocketvision.tasks.own.fit_to_data import boxes_of

BoxesOrMasks = DetectionRecords | SegmentationRecords


class Tiles(NamedTuple):
    """Tiles of the training pictures.

    Attributes:
        tiling: how they are cut.
        reason: why, in words.
        all: records of all tiles; ``learned`` are those with boxes, or all with masks.
        empty_share: of an epoch's tiles that have no box.
    """

    tiling: Tiling
    reason: str
    all: AnyRecords
    learned: AnyRecords
    empty_share: float

    def num_drawn(self, threshold: float | None) -> int:
        """Tiles that an epoch draws, with those of rare classes more often below ``threshold``."""
        factors = drawing_factors(self.all, threshold, self.empty_share)
        return len(self.all) if factors is None else num_drawn(factors)

    def line(self) -> str:
        """What a person should know of them."""
        with_boxes = f", {len(self.learned)} with boxes" if isinstance(self.all, DetectionRecords) else ""
        return (
            f"tiles: {self.reason}; data.tile_size={self.tiling.option}: "
            f"{len(self.all)} training tiles{with_boxes}; data.tile_size=None for none"
        )


def fit_tiles(train: BoxesOrMasks, image_size: Size, empty_share: float) -> Tiles | None:
    """Tiles where :func:`suggest_tiles` or :func:`suggest_mask_tiles` finds that boxes or masks need some."""
    advice: TileAdvice | MaskTileAdvice | None
    if isinstance(train, DetectionRecords):
        advice = suggest_tiles(boxes_of(train), image_size)
    else:
        advice = suggest_mask_tiles(train, image_size)
    return None if advice is None else cut_tiles(train, Tiling(advice.tile), empty_share, advice.reason())


def missed_tiles(train: AnyRecords, image_size: Size, task: str) -> list[str]:
    """What to know of pictures that would have tiles alone, and none in a model of several tasks."""
    tiles = None if isinstance(train, ClassificationRecords) else fit_tiles(train, image_size, 0.0)
    if tiles is None:
        return []
    return [
        f"no tiles, which {task} alone would have: {tiles.reason}; a model of several tasks sees pictures as "
        "a whole"
    ]


def cut_tiles(train: BoxesOrMasks, tiling: Tiling, empty_share: float, reason: str = "as stated") -> Tiles:
    """The tiles of the training pictures."""
    if isinstance(train, DetectionRecords):
        tiles = TileTable.of(train.sizes, tiling).boxes(train)
        return Tiles(tiling, reason, tiles, with_boxes(tiles), empty_share)
    of_masks = TileTable.of(picture_sizes(train), tiling).masks(train)
    return Tiles(tiling, reason, of_masks, of_masks, empty_share)


def with_boxes(records: DetectionRecords) -> DetectionRecords:
    """The images that have a box to learn from."""
    return take(records, np.flatnonzero(class_presence(records).any(axis=1)))


def learned_records(data: AnyData) -> AnyRecords:
    """What training learns from: the tiles with boxes where there are tiles, else the pictures."""
    dataset = data.dataset(data.train_split, train=False)
    records: AnyRecords = dataset.records
    if dataset.tiles is not None and isinstance(records, DetectionRecords):
        return with_boxes(records)
    return records
