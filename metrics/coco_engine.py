"""COCO's precision and recall arrays from matched detections, in NumPy: pycocotools' to the last bit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pocketvision.metrics.coco_arrays import (
    AREA_RANGES,
    IOU_THRESHOLDS,
    MAX_DETECTIONS,
    RECALL_LEVELS,
    Float64s,
    Integers,
    Scores,
)
from pocketvision.metrics.coco_matching import Bits, Matches

_NUM_COLUMNS = len(AREA_RANGES) * len(IOU_THRESHOLDS)
_SHIFTS: Bits = np.arange(_NUM_COLUMNS, dtype=np.uint64)
_AREA_OF_COLUMN = np.repeat(np.arange(len(AREA_RANGES)), len(IOU_THRESHOLDS))
_FIRST_OF_AREA = np.uint64(1) << _SHIFTS[:: len(IOU_THRESHOLDS)]


def accumulate(matches: Matches) -> Scores:
    """``COCOeval.accumulate``: precision at 101 recalls and the highest recall."""
    num_categories = len(matches.num_truth)
    shape = len(IOU_THRESHOLDS), num_categories, len(AREA_RANGES), len(MAX_DETECTIONS)
    precision = np.full((shape[0], len(RECALL_LEVELS), *shape[1:]), -1.0)
    recall = np.full(shape, -1.0)
    edges = np.searchsorted(matches.categories, np.arange(num_categories + 1))
    for category in np.flatnonzero(matches.num_truth.any(axis=1)).tolist():
        part = slice(edges[category], edges[category + 1])
        num_truth = matches.num_truth[category]
        levels = [_hits_needed(int(number)) for number in num_truth]
        for i, limit in enumerate(MAX_DETECTIONS):
            kept = matches.ranks[part] < limit
            hits, counted = matches.hits[part][kept], matches.counted[part][kept]
            values, num_hits = _precision_at(hits, counted, np.stack(levels))
            for area in np.flatnonzero(num_truth).tolist():
                columns = area == _AREA_OF_COLUMN
                precision[:, :, category, area, i] = values[columns]
                recall[:, category, area, i] = num_hits[columns] / num_truth[area]
    return Scores(precision, recall)


def columns_of(bits: Bits) -> NDArray[np.bool_]:
    """(N,) sets -> (N, 40), a column for each area and, within it, each threshold."""
    columns: NDArray[np.bool_] = (bits[:, None] >> _SHIFTS & np.uint64(1)).astype(bool)
    return columns


def _hits_needed(num_truth: int) -> Integers:
    """How many boxes must be found before the one that reaches each recall level: (101,)."""
    recalls = np.arange(1, num_truth + 1) / max(1, num_truth)
    return np.searchsorted(recalls, RECALL_LEVELS, side="left")


def _precision_at(hits: Bits, counted: Bits, levels: Integers) -> tuple[Float64s, Integers]:
    """Precision (40, 101) after as many hits as ``levels`` (4, 101) say, and the number of hits (40,).

    Precision only matters where something was found, and only rows that any box was near to can differ
    between the thresholds, so all other detections are merely counted.
    """
    plain_bits = counted & _FIRST_OF_AREA[:, None]
    is_near = (hits != 0) | ((counted != 0) & (counted != _every_threshold(plain_bits)))
    rows = np.flatnonzero(is_near)
    plain = (plain_bits != 0) & ~is_near
    hit = columns_of(hits[rows])
    num_plain = np.cumsum(plain, axis=1, dtype=np.int32)[:, rows]
    num_counted = np.cumsum(columns_of(counted[rows]), axis=0, dtype=np.int32) + num_plain[_AREA_OF_COLUMN].T
    found = np.cumsum(hit, axis=0, dtype=np.int32)
    values = np.where(hit, found / (num_counted + np.spacing(1)), 0.0)
    best = np.maximum.accumulate(values[::-1], axis=0)[::-1]
    column, row = np.nonzero(hit.T)
    num_hits = np.bincount(column, minlength=_NUM_COLUMNS)
    wanted = levels[_AREA_OF_COLUMN]
    exists = wanted < num_hits[:, None]
    result = np.zeros(wanted.shape)
    places = (wanted + (np.cumsum(num_hits) - num_hits)[:, None])[exists]
    result[exists] = best[row[places], column[places]]
    return result, num_hits


def _every_threshold(first: NDArray[np.uint64]) -> Bits:
    """(4, N) the lowest bit of each area -> (N,) all bits of these areas."""
    bits: Bits = np.bitwise_or.reduce(first, axis=0) * np.uint64((1 << len(IOU_THRESHOLDS)) - 1)
    return bits
