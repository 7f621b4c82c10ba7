"""AP of any weighting of the images, from matches that were made once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pocketvision.metrics.coco_arrays import (
    ALL_AREAS,
    AREA_NAMES,
    AREA_RANGES,
    IOU_THRESHOLDS,
    RECALL_LEVELS,
    Float64s,
    Truth,
)
from pocketvision.metrics.coco_matching import Bits, Matches

_NUM_THRESHOLDS = len(IOU_THRESHOLDS)
_LAST_LEVEL = len(RECALL_LEVELS) - 1

Counts = NDArray[np.int32]


class MatchTable(NamedTuple):
    """What AP needs of D detections, by class and then best score, and of G boxes.

    ``hits`` and ``counted`` (D,) uint16: a bit an IoU threshold, of one range of areas.
    """

    images: NDArray[np.int32]
    categories: NDArray[np.int32]
    hits: NDArray[np.uint16]
    counted: NDArray[np.uint16]
    truth_images: NDArray[np.int32]
    truth_categories: NDArray[np.int32]


class SizedMatches(NamedTuple):
    """What AP of any range of areas needs of D detections and G boxes: small enough to keep.

    ``hits`` and ``counted`` (D,) uint64, as in :class:`Matches`; ``truth_sizes`` (G,) a bit for each of
    :data:`AREA_RANGES` that the box is in.
    """

    images: NDArray[np.int32]
    categories: NDArray[np.int32]
    hits: Bits
    counted: Bits
    truth_images: NDArray[np.int32]
    truth_categories: NDArray[np.int32]
    truth_sizes: NDArray[np.uint8]

    def table(self, area: int = ALL_AREAS) -> MatchTable:
        """The part of one range of areas."""
        shift, low_bits = np.uint64(area * _NUM_THRESHOLDS), np.uint64((1 << _NUM_THRESHOLDS) - 1)
        hits, counted = ((bits >> shift & low_bits).astype(np.uint16) for bits in (self.hits, self.counted))
        wanted = (self.truth_sizes >> area & 1).astype(bool)
        truth = self.truth_images[wanted], self.truth_categories[wanted]
        return MatchTable(self.images, self.categories, hits, counted, *truth)


def sized_matches(truth: Truth, matches: Matches) -> SizedMatches:
    """The part of the matches that belongs to 100 detections, without crowds."""
    kept = ~truth.crowd
    areas = truth.areas[kept]
    sizes = [
        ((areas >= low) & (areas <= high)).astype(np.uint8) << i for i, (low, high) in enumerate(AREA_RANGES)
    ]
    return SizedMatches(
        matches.images, matches.categories, matches.hits, matches.counted,
        truth.images[kept].astype(np.int32), truth.categories[kept].astype(np.int32),
        np.bitwise_or.reduce(sizes),
    )  # fmt: skip


class ResampledAP:
    """AP and AP50 where each image counts as often as its weight says.

    Equal to COCO's AP of a data set in which each detection is followed by its copies. A class
    without truth among the drawn images has no part in the mean.
    """

    def __init__(self, table: MatchTable, num_images: int, num_categories: int) -> None:
        self.num_images = num_images
        self._num_categories = num_categories
        self._truth = table.truth_images, table.truth_categories
        shifts = np.arange(_NUM_THRESHOLDS, dtype=np.uint16)[:, None]
        # All hits of all thresholds in one row: by threshold, then class, then score.
        thresholds, self._rows = np.nonzero(table.hits >> shifts & 1)
        self._after = self._rows + 1
        self._categories = table.categories[self._rows]
        segments = thresholds * num_categories + self._categories
        self._starts = np.flatnonzero(np.diff(segments, prepend=-1))
        self._segments = segments[self._starts]
        self._lengths = np.diff(self._starts, append=len(segments))
        # A segment's precision lies above those after it, so that one running maximum serves all.
        self._level = 2.0 * np.repeat(np.arange(len(self._starts))[::-1], self._lengths)
        self._images = table.images
        self._first_rows = np.searchsorted(table.categories, self._categories[self._starts])
        every = np.uint16((1 << _NUM_THRESHOLDS) - 1)
        self._plain = (table.counted == every).astype(np.int32)
        # Few detections, those near crowds, count at some thresholds only.
        self._mixed = np.flatnonzero((table.counted != 0) & (table.counted != every))
        self._mixed_counted = (table.counted[self._mixed] >> shifts & 1).astype(np.int32)
        width = len(self._mixed) + 1
        own_row, first = thresholds * width, thresholds[self._starts] * width
        self._mixed_until = own_row + np.searchsorted(self._mixed, self._rows, side="right")
        self._mixed_before = first + np.searchsorted(self._mixed, self._first_rows)

    def __call__(self, weights: NDArray[np.int64]) -> dict[str, float]:
        images, categories = self._truth
        of_boxes = weights[images].astype(np.float64)
        num_truth = np.bincount(categories, of_boxes, self._num_categories).astype(np.float64)
        defined = num_truth > 0
        if not defined.any():
            return {"AP": np.nan, "AP50": np.nan}
        ap = np.zeros(_NUM_THRESHOLDS * self._num_categories)
        if len(self._rows):
            ap[self._segments] = self._average_precision(weights.astype(np.int32), num_truth)
        ap = ap.reshape(_NUM_THRESHOLDS, -1)[:, defined]
        return {"AP": float(ap.mean()), "AP50": float(ap[0].mean())}

    def _average_precision(self, weights: Counts, num_truth: Float64s) -> Float64s:
        """AP (S,) of every threshold and class that has a hit."""
        drawn = weights[self._images]
        own = drawn[self._rows]
        found = np.cumsum(own, dtype=np.int32)
        found -= np.repeat(found[self._starts] - own[self._starts], self._lengths)
        # Where a hit wasn't drawn, precision is no better than at the one before.
        precision = found / np.maximum(self._counted(drawn), 1)
        best = np.maximum.accumulate((precision + self._level)[::-1])[::-1] - self._level
        recall = found / np.maximum(num_truth, 1)[self._categories]
        reached = (recall * _LAST_LEVEL + 1e-9).astype(np.int64)
        # COCO's levels are k * 0.01, some of which are a little more than k / 100.
        reached = np.where(found > 0, reached + (RECALL_LEVELS[reached] <= recall), 0)
        new_levels = np.diff(reached, prepend=0)
        new_levels[self._starts] = reached[self._starts]
        sums: Float64s = np.add.reduceat(best * new_levels, self._starts)
        return sums / len(RECALL_LEVELS)

    def _counted(self, drawn: Counts) -> Counts:
        """Detections of the class that count, down to each hit."""
        plain = np.zeros(len(drawn) + 1, dtype=np.int32)
        np.cumsum(drawn * self._plain, out=plain[1:])
        before = plain[self._first_rows]
        counted = plain[self._after]
        if len(self._mixed):
            mixed = np.zeros((_NUM_THRESHOLDS, len(self._mixed) + 1), dtype=np.int32)
            np.cumsum(self._mixed_counted * drawn[self._mixed], axis=1, out=mixed[:, 1:])
            counted += mixed.ravel()[self._mixed_until]
            before += mixed.ravel()[self._mixed_before]
        counted -= np.repeat(before, self._lengths)
        return counted


class ResampledSizes:
    """AP and AP50 as of :class:`ResampledAP`, and AP_small, AP_medium and AP_large."""

    def __init__(self, tables: Sequence[MatchTable], num_images: int, num_categories: int) -> None:
        self.num_images = num_images
        self._all, *self._sizes = (ResampledAP(table, num_images, num_categories) for table in tables)

    def __call__(self, weights: NDArray[np.int64]) -> dict[str, float]:
        of_sizes = {
            f"AP_{name}": score(weights)["AP"]
            for name, score in zip(AREA_NAMES[1:], self._sizes, strict=True)
        }
        return self._all(weights) | of_sizes
