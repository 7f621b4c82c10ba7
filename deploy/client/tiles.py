"""A large image in the tiles that the model was trained in, with NumPy."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from pocketvision.deploy.client.opening import Facts
from pocketvision.deploy.client.results import overlap

# <part>
# <tiles>
TileWindow = tuple[int, int, int, int]
"""Top, left, height and width of a tile in its image."""


def windows_of(tiling: Facts, size: Sequence[int]) -> list[TileWindow]:
    """The tiles of an image of ``size``, row by row, spread evenly."""
    starts = []
    for length, tile in zip(size, tiling["tile"], strict=True):
        steps = math.ceil(max(0, length - tile) / (tile * (1 - tiling["overlap"])))
        starts.append([round(i * (length - tile) / max(1, steps)) for i in range(steps + 1)])
    height, width = (min(sides) for sides in zip(size, tiling["tile"], strict=True))
    tops, lefts = ([max(0, start) for start in own] for own in starts)
    return [(top, left, height, width) for top in tops for left in lefts]


# <detection>
def merge_boxes(
    parts: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]],
    windows: Sequence[TileWindow],
    size: Sequence[int],
    threshold: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Boxes, scores and labels of tiles -> those of the image, best first.

    What a tile cut off never stays beside the whole of it, nor in its place: that takes the better score.
    """
    corners = [np.array([left, top] * 2, dtype=np.float32) for top, left, _, _ in windows]
    boxes = np.concatenate([part[0] + corner for part, corner in zip(parts, corners, strict=True)])
    scores, labels = (np.concatenate([part[i] for part in parts]) for i in (1, 2))
    is_cut = np.concatenate([cut_off(part[0], *own, size) for part, own in zip(parts, windows, strict=True)])
    wide = boxes.astype(np.float64)
    areas = (wide[:, 2:] - wide[:, :2]).prod(axis=1)

    def same(box: int, others: np.ndarray) -> np.ndarray:
        return (overlap(wide[box], wide[others]) > threshold) & (labels[others] == labels[box])

    order, kept = np.lexsort((-np.where(is_cut, areas, scores), is_cut)), []
    while len(order):
        kept.append(order[0])
        order = order[1:][~same(order[0], order[1:])]
    others, cut = np.array(kept, dtype=np.int64), np.flatnonzero(is_cut)
    for i in [i for i in kept if is_cut[i]]:
        sides = np.minimum(wide[i, 2:], wide[others, 2:]) - np.maximum(wide[i, :2], wide[others, :2])
        is_within = sides.clip(min=0).prod(axis=1) > 0.7 * areas[i]
        if (is_within & (areas[others] > areas[i]) & (labels[others] == labels[i])).any():
            kept.remove(i)
    best = np.array(
        [max(scores[i], scores[cut[same(i, cut)]].max(initial=0)) for i in kept], dtype=np.float32
    )
    rank = np.argsort(-best, kind="stable")
    chosen = np.array(kept, dtype=np.int64)[rank]
    return boxes[chosen], best[rank], labels[chosen]


def cut_off(
    boxes: np.ndarray, top: int, left: int, height: int, width: int, size: Sequence[int]
) -> np.ndarray:
    """Which boxes, in pixels of a tile, reach one of its edges that is not the image's."""
    x, y = 0.01 * width, 0.01 * height
    starts = (boxes[:, 0] <= x) & (left > 0) | (boxes[:, 1] <= y) & (top > 0)
    right, bottom = left + width < size[1], top + height < size[0]
    return starts | (boxes[:, 2] >= width - x) & right | (boxes[:, 3] >= height - y) & bottom


# </detection>
# <segmentation>
def merge_labels(
    parts: Sequence[np.ndarray], windows: Sequence[TileWindow], size: Sequence[int]
) -> np.ndarray:
    """Label maps of tiles -> the image's: each pixel of the tile whose middle is the nearest."""
    labels = np.zeros(size, dtype=np.uint8)
    tops, lefts = (sorted({window[side] for window in windows}) for side in (0, 1))
    for part, (top, left, height, width) in zip(parts, windows, strict=True):
        row, column = tops.index(top), lefts.index(left)
        # The tiles that follow take what is theirs.
        y = (top + tops[row - 1] + height) // 2 if row else 0
        x = (left + lefts[column - 1] + width) // 2 if column else 0
        labels[y : top + height, x : left + width] = part[y - top :, x - left :]
    return labels


# </segmentation>
# </tiles>
# </part>
