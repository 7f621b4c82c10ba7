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

SMALL, GOOD = 12, 24
"""Pixels of the input: where a tenth of the boxes is smaller than the first, as the root of their area,
pictures are shown in tiles in which all but a tenth have the second."""
_SMALLEST, _STEP, _LARGE, _MAX_SHARE = 0.1, 32, 1.5, 0.5
"""A tile is 1.5 times as long as all but a twentieth of the boxes, and half of the usual picture at most."""


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
    """Tiles where whole pictures would leave a tenth of the boxes with less than :data:`SMALL` pixels.

    They are square, and show all but a tenth of the boxes with :data:`GOOD` pixels, if that takes no pixels
    that the picture does not have. There are none where a twentieth of the boxes is too long for tiles of
    half of the usual picture.
    """
    boxes = np.asarray(train.boxes)[~np.asarray(train.crowd)].astype(np.float64)
    if not len(boxes):
        return None
    sides = boxes[:, 2:] - boxes[:, :2]
    owners = train.owners()[~np.asarray(train.crowd)]
    sizes = train.sizes.astype(np.float64)
    shrunk = np.sqrt((np.array(image_size) / sizes).prod(axis=1))
    roots = np.sqrt(sides.prod(axis=1))
    as_seen = float(np.quantile(roots * shrunk[owners], _SMALLEST))
    if as_seen >= SMALL:
        return None
    side = max(image_size)
    wanted = side * float(np.quantile(roots, _SMALLEST)) / GOOD
    least = max(side, _LARGE * float(np.quantile(sides.max(axis=1), 0.95)))
    tile = round(max(wanted, least) / _STEP) * _STEP
    if tile**2 > _MAX_SHARE * float(np.median(sizes.prod(axis=1))):
        return None
    reason = f"a tenth of the boxes would have less than {as_seen:.0f} pixels of the input a side"
    return cut_tiles(train, Tiling((tile, tile)), empty_share, reason)


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
