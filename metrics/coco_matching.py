"""Which detections find which boxes, for all IoU thresholds and areas at once: pycocotools' greedy matching.

A set of (area range, IoU threshold) is one 64-bit number, bit ``10 * area + threshold``. The candidates of
a detection are tried in the order that pycocotools prefers them, each with two bitwise operations;
detections of different images or classes can't compete, so the n-th of all of them are one array.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pocketvision.metrics.coco_arrays import (
    AREA_RANGES,
    IOU_THRESHOLDS,
    MAX_DETECTIONS,
    Float64s,
    Found,
    Integers,
    Truth,
    box_ious,
)

Bits = NDArray[np.uint64]
"""A set of (area, threshold) per element."""

_PAIRS_AT_ONCE = 2**17
"""Pairs of boxes whose IoU is held at a time: some 20 MB."""

_EVERY_THRESHOLD = (1 << len(IOU_THRESHOLDS)) - 1
_BITS_OF_AREA: Bits = np.array(
    [_EVERY_THRESHOLD << (len(IOU_THRESHOLDS) * i) for i in range(len(AREA_RANGES))], dtype=np.uint64
)
_REACHED: Bits = np.array(
    [
        sum(((1 << n) - 1) << (len(IOU_THRESHOLDS) * i) for i in range(len(AREA_RANGES)))
        for n in range(len(IOU_THRESHOLDS) + 1)
    ],
    dtype=np.uint64,
)
"""The bits of an IoU that reaches the first n thresholds."""


class Matches(NamedTuple):
    """D detections by class, then best score: what became of each.

    ``images``, ``categories`` (D,) int32 positions; ``scores`` (D,); ``ranks`` (D,) the place among the
    image's detections of the class, from 0; ``hits`` (D,) bits where it found a box; ``counted`` (D,)
    bits where it counts for precision; ``targets`` (D,) the position in :class:`Truth` of the box found at
    the lowest threshold, or -1; ``sources`` (D,) its own position in :class:`Found`.
    ``num_truth`` (K, 4): boxes to be found, by class and area.
    """

    images: NDArray[np.int32]
    categories: NDArray[np.int32]
    scores: Float64s
    ranks: NDArray[np.uint8]
    hits: Bits
    counted: Bits
    targets: NDArray[np.int32]
    sources: NDArray[np.int32]
    num_truth: Integers


class _Pairs(NamedTuple):
    """Detections and boxes of the same image and class that overlap enough, as positions, and how much."""

    detections: Integers
    truth: Integers
    ious: Float64s


def match(truth: Truth, found: Found, num_categories: int) -> Matches:
    """Match as ``COCOeval.evaluateImg`` does, for every area range and up to 100 detections."""
    truth_order = np.argsort(truth.images * num_categories + truth.categories, kind="stable")
    truth = Truth(
        truth.images[truth_order], truth.categories[truth_order], truth.boxes[truth_order],
        truth.areas[truth_order], truth.crowd[truth_order], truth.ids[truth_order],
    )  # fmt: skip
    keys = found.images * num_categories + found.categories
    order = np.lexsort((-found.scores, keys))
    ranks = _position_in_run(keys[order])
    order, ranks = order[ranks < MAX_DETECTIONS[-1]], ranks[ranks < MAX_DETECTIONS[-1]]
    keys, boxes = keys[order], found.boxes[order]
    truth_keys = truth.images * num_categories + truth.categories
    pairs = _overlapping(keys, boxes, truth_keys, truth)
    regular = _area_bits(truth.areas)
    regular[truth.crowd] = 0
    hits, ignored, targets = _assign(pairs, keys, truth, regular)
    targets[targets >= 0] = truth_order[targets[targets >= 0]]
    # An unmatched detection counts where its own area is inside the range.
    counted = hits | (_area_bits(boxes[:, 2] * boxes[:, 3]) & ~ignored)
    num_truth = np.stack(
        [
            np.bincount(truth.categories[(regular & bits) != 0], minlength=num_categories)
            for bits in _BITS_OF_AREA
        ],
        axis=1,
    )
    by_score = np.lexsort((-found.scores[order], found.categories[order]))
    order = order[by_score]
    return Matches(
        found.images[order].astype(np.int32), found.categories[order].astype(np.int32), found.scores[order],
        ranks[by_score].astype(np.uint8), hits[by_score], counted[by_score],
        targets[by_score].astype(np.int32), order.astype(np.int32), num_truth,
    )  # fmt: skip


def _position_in_run(keys: Integers) -> Integers:
    """Position of each of the sorted keys among its equals."""
    return np.arange(len(keys)) - np.searchsorted(keys, keys)


def _area_bits(areas: Float64s) -> Bits:
    """Bits of the ranges that areas (N,) are inside of."""
    bits = np.zeros(len(areas), dtype=np.uint64)
    for (low, high), own in zip(AREA_RANGES, _BITS_OF_AREA, strict=True):
        bits |= np.where((areas >= low) & (areas <= high), own, np.uint64(0))
    return bits


def _overlapping(keys: Integers, boxes: Float64s, truth_keys: Integers, truth: Truth) -> _Pairs:
    """All pairs of equal keys whose IoU reaches the lowest threshold."""
    starts = np.searchsorted(truth_keys, keys, side="left")
    counts = np.searchsorted(truth_keys, keys, side="right") - starts
    candidates = np.flatnonzero(counts)
    ends = np.cumsum(counts[candidates])
    cuts = np.searchsorted(ends, np.arange(0, ends[-1] if len(ends) else 0, _PAIRS_AT_ONCE), side="right")
    parts = []
    for part in np.split(candidates, cuts[1:]):
        detections = np.repeat(part, counts[part])
        positions = np.repeat(starts[part], counts[part]) + _position_in_run(detections)
        ious = box_ious(boxes[detections], truth.boxes[positions], truth.crowd[positions])
        near = ious >= IOU_THRESHOLDS[0]
        parts.append(_Pairs(detections[near], positions[near], ious[near]))
    return _Pairs(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _assign(pairs: _Pairs, keys: Integers, truth: Truth, regular: Bits) -> tuple[Bits, Bits, Integers]:
    """Bits of detections that found a box, of those that lie on an ignored one, and boxes: (D,) each."""
    hits, ignored = np.zeros((2, len(keys)), dtype=np.uint64)
    taken = np.zeros(len(truth.ids), dtype=np.uint64)
    reusable = np.where(truth.crowd, ~np.uint64(0), np.uint64(0))
    known = np.where(truth.ids == 0, np.uint64(0), ~np.uint64(0))
    done = np.zeros(len(keys), dtype=np.uint64)
    targets = np.full(len(keys), -1, dtype=np.int64)
    for blocks in _rounds(pairs, keys):
        for detections, positions, reached in blocks:
            own = reached & regular[positions] & ~taken[positions] & ~done[detections]
            done[detections] |= own
            taken[positions] |= own
            own &= known[positions]
            hits[detections] |= own
            first = (own & np.uint64(1)).astype(bool)
            targets[detections[first]] = positions[first]
        for detections, positions, reached in blocks:
            free = reusable[positions] | ~taken[positions]
            own = reached & ~regular[positions] & free & ~done[detections]
            done[detections] |= own
            taken[positions] |= own
            ignored[detections] |= own
    return hits, ignored, targets


def _rounds(pairs: _Pairs, keys: Integers) -> list[list[tuple[Integers, Integers, Bits]]]:
    """Round r holds each image's and class's r-th detection that overlaps anything: its candidates.

    The b-th block of a round has the b-th best candidate of each; of equal IoUs the last box is better.
    """
    order = np.lexsort((-pairs.truth, -pairs.ious, pairs.detections))
    detections, positions, ious = pairs.detections[order], pairs.truth[order], pairs.ious[order]
    is_first = np.diff(detections, prepend=-1) != 0
    candidate = _position_in_run(detections)
    turn = _position_in_run(keys[detections[is_first]])[np.cumsum(is_first) - 1]
    order = np.lexsort((candidate, turn))
    detections, positions = detections[order], positions[order]
    reached = _REACHED[np.searchsorted(IOU_THRESHOLDS, ious[order], side="right")]
    turn, candidate = turn[order], candidate[order]
    edges = np.flatnonzero((np.diff(turn, prepend=-1) != 0) | (np.diff(candidate, prepend=-1) != 0))
    rounds: list[list[tuple[Integers, Integers, Bits]]] = []
    ends = np.append(edges[1:], len(turn))[: len(edges)]
    for start, end in zip(edges.tolist(), ends.tolist(), strict=True):
        if candidate[start] == 0:
            rounds.append([])
        rounds[-1].append((detections[start:end], positions[start:end], reached[start:end]))
    return rounds
