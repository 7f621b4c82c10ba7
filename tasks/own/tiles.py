"""Whether pictures are shown to a model in tiles, of which size, and what training then learns from."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pocketvision.core.resize import Tiling
from pocketvision.core.structures import Size
from pocketvision.datasets.data_module import AnyData
from pocketvision.datasets.records.annotations import AnyRecords, DetectionRecords
from pocketvision.datasets.records.splits import take
from pocketvision.datasets.repeats import class_presence, drawing_factors
from pocketvision.datasets.sampling import num_drawn
from pocketvision.datasets.tiles.table import TileTable
from pocketvision.doctor.anchors.tiles import suggest_tiles
from pocketvision.tasks.own.fit_to_data import boxes_of


class Tiles(NamedTuple):
    """Tiles of the training pictures.

    Attributes:
        tiling: how they are cut.
        reason: why, in words.
        all: records of all tiles; of those with boxes in ``learned``.
        empty_share: of an epoch's tiles that have none.
    """

    tiling: Tiling
    reason: str
    all: DetectionRecords
    learned: DetectionRecords
    empty_share: float

    def num_drawn(self, threshold: float | None) -> int:
        """Tiles that an epoch draws, with those of rare classes more often below ``threshold``."""
        factors = drawing_factors(self.all, threshold, self.empty_share)
        return len(self.all) if factors is None else num_drawn(factors)

    def line(self) -> str:
        """What a person should know of them."""
        return (
            f"tiles: {self.reason}; data.tile_size={tile_option(self.tiling)}: "
            f"{len(self.all)} training tiles, {len(self.learned)} with boxes; data.tile_size=None for none"
        )


def tile_option(tiling: Tiling) -> int | Size:
    """``data.tile_size``."""
    height, width = tiling.tile
    return height if height == width else tiling.tile


def fit_tiles(train: DetectionRecords, image_size: Size, empty_share: float) -> Tiles | None:
    """Tiles where :func:`suggest_tiles` finds that the boxes need some."""
    advice = suggest_tiles(boxes_of(train), image_size)
    if advice is None:
        return None
    return cut_tiles(train, Tiling((advice.side, advice.side)), empty_share, advice.reason())


def cut_tiles(
    train: DetectionRecords, tiling: Tiling, empty_share: float, reason: str = "as stated"
) -> Tiles:
    """The tiles of the training pictures."""
    tiles = TileTable.of(train.sizes, tiling).boxes(train)
    return Tiles(tiling, reason, tiles, with_boxes(tiles), empty_share)


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
