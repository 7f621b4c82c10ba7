"""All tiles of a split's pictures, and their records: those of tiles in place of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from pocketvision.core.resize import Tiling
from pocketvision.core.structures import TilePlace, Window
from pocketvision.datasets.records.annotations import DetectionRecords, SegmentationRecords
from pocketvision.datasets.tiles.cut import cut_boxes
from pocketvision.datasets.tiles.decoded import MAX_BYTES

Places = npt.NDArray[np.int64]
_Records = TypeVar("_Records")


@dataclass(frozen=True)
class TileTable:
    """T tiles of P pictures, picture by picture.

    Attributes:
        pictures: (T,) the index of each tile's picture.
        windows: (T, 4) int64, top, left, height and width in the picture.
        sizes: (P, 2) int64, (height, width) of the pictures.
    """

    pictures: Places
    windows: Places
    sizes: Places

    @classmethod
    def of(cls, sizes: npt.NDArray[np.integer], tiling: Tiling) -> TileTable:
        """The tiles of pictures of these sizes (P, 2)."""
        of_size = {size: tiling.windows(size) for size in {(int(h), int(w)) for h, w in sizes.tolist()}}
        own = [of_size[int(h), int(w)] for h, w in sizes.tolist()]
        windows = np.array([window for part in own for window in part], dtype=np.int64).reshape(-1, 4)
        return cls(
            np.repeat(np.arange(len(own)), [len(part) for part in own]), windows, sizes.astype(np.int64)
        )

    def __len__(self) -> int:
        return len(self.pictures)

    def window(self, index: int) -> Window:
        """The window of a tile."""
        return Window(*self.windows[index].tolist())

    def place(self, index: int) -> TilePlace:
        """Where a tile lies, for whoever puts the results of a picture together."""
        picture = self.pictures[index]
        height, width = self.sizes[picture].tolist()
        is_last = index + 1 == len(self) or bool(self.pictures[index + 1] != picture)
        return TilePlace(self.window(index), (height, width), is_last)

    def groups(self, seed: int, epoch: int, channels: int = 3) -> Places:
        """(T,) numbers of the groups that an epoch goes through one after the other.

        The pictures of a group are drawn anew for each epoch and fit into half of what a process holds
        decoded, so that each is decoded once: a batch mixes the tiles of a group.
        """
        order = np.random.default_rng((seed, epoch, len(self.sizes))).permutation(len(self.sizes))
        num_bytes = self.sizes.prod(axis=1)[order] * channels
        group = np.empty(len(order), dtype=np.int64)
        group[order] = (np.cumsum(num_bytes) - num_bytes) // (MAX_BYTES // 2)
        return group[self.pictures]

    def boxes(self, records: DetectionRecords) -> DetectionRecords:
        """Records of the tiles, numbered from 0, with the boxes that they show, as :func:`cut_boxes` rules.

        Boxes of which a tile shows too little to be learned there are ``crowd``.
        """
        if not len(records):
            return records
        starts = np.searchsorted(self.pictures, np.arange(len(self.sizes) + 1))
        found, counts = [], []
        for picture in range(len(records)):
            owned, tiles = records.boxes_of(picture), slice(starts[picture], starts[picture + 1])
            windows = [Window(*window) for window in self.windows[tiles].tolist()]
            cut = cut_boxes(np.asarray(records.boxes[owned]), windows)
            seen = cut.kept | cut.ignored
            rows = np.nonzero(seen)[1] + owned.start
            found.append((rows, cut.boxes[seen], cut.ignored[seen]))
            counts.append(seen.sum(axis=1))
        rows, boxes, is_ignored = (np.concatenate(parts) for parts in zip(*found, strict=True))
        sides = (boxes[:, 2:] - boxes[:, :2]).astype(np.float64)
        return replace(
            records,
            image_paths=_of_tiles(records.image_paths, self.pictures),
            image_ids=np.arange(len(self)),
            sizes=self.windows[:, 2:].astype(np.int32),
            offsets=np.concatenate(([0], np.cumsum(np.concatenate(counts)))).astype(np.int64),
            boxes=boxes.astype(np.float32),
            labels=np.asarray(records.labels)[rows],
            crowd=np.asarray(records.crowd)[rows] | is_ignored,
            areas=sides.prod(axis=1),
            difficult=None if records.difficult is None else np.asarray(records.difficult)[rows],
            rows=None,
            annotation_file=None,
        )

    def masks(self, records: SegmentationRecords) -> SegmentationRecords:
        """Records of the tiles, numbered from 0; their files are those of the pictures."""
        sources = records.mask_sources
        return replace(
            records,
            image_paths=_of_tiles(records.image_paths, self.pictures),
            mask_paths=_of_tiles(records.mask_paths, self.pictures),
            image_ids=np.arange(len(self)),
            mask_sources=None if sources is None else _of_tiles(sources, self.pictures),
        )


@dataclass(frozen=True)
class Tiled(Generic[_Records]):
    """Tiles of a split's pictures, and their ``records``: those of tiles in place of pictures."""

    table: TileTable
    records: _Records


def _of_tiles(paths: Sequence[str], pictures: Places) -> list[str]:
    return [paths[picture] for picture in pictures.tolist()]
