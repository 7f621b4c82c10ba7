"""COCO's three ways to write a mask -> run lengths, checked before any C code sees them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvision.core.errors import InputError

RunLengths = npt.NDArray[np.int64]
"""Pixels outside, inside, outside ... in turn, counted column by column from the top left."""

MaskBox = tuple[float, float, float, float]


def counted(segmentation: Any, size: tuple[int, int], place: str, box: MaskBox | None = None) -> RunLengths:
    """Run lengths of counts; a size with swapped sides is believed if the pixels then fill ``box`` (xyxy).

    Raises:
        InputError: they are no counts of this size; names ``place``.
    """
    height, width = size
    stated = segmentation.get("size") if isinstance(segmentation, dict) else None
    is_swapped = stated == [width, height] != [height, width]
    if stated != [height, width] and not (is_swapped and box is not None):
        raise InputError(
            f"{place}: its segmentation is no list of polygons and no run lengths of {width}x{height} "
            "pixels; correct it."
        )
    counts = segmentation.get("counts")
    if isinstance(counts, str):
        counts = _counts(counts)
    if not isinstance(counts, list) or not _are_counts(counts) or sum(counts) != height * width:
        raise InputError(f"{place}: its run lengths do not add up to {width}x{height} pixels; correct them.")
    runs = np.array(counts, dtype=np.int64)
    if is_swapped and box is not None and not _fills(runs, size, box):
        raise InputError(
            f"{place}: its run lengths are of {height}x{width} pixels, but its image has {width}x{height}: "
            "correct them."
        )
    return runs


def box_runs(box: MaskBox, size: tuple[int, int]) -> RunLengths:
    """Run lengths of the part of a box xyxy that lies in the image."""
    height, width = size
    left, right = (min(max(side, 0.0), width) for side in (box[0], box[2]))
    top, bottom = (min(max(side, 0.0), height) for side in (box[1], box[3]))
    return draw([[left, top, right, top, right, bottom, left, bottom]], size)


def runs_of(left: int, top: int, pixels: npt.NDArray[np.bool_], size: tuple[int, int]) -> RunLengths:
    """Run lengths of pixels (h, w) that lie at (left, top) of an image; what is beyond its sides is cut."""
    height, width = size
    columns, rows = np.nonzero(pixels.T)
    columns, rows = columns + left, rows + top
    is_inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    positions = (columns * height + rows)[is_inside]
    is_start = np.diff(positions, prepend=-2) != 1
    ends = positions[np.roll(is_start, -1)] + 1
    edges = np.stack([positions[is_start], ends], axis=1).ravel()
    return np.diff(edges, prepend=0, append=height * width)


def draw(polygons: list[list[float]], size: tuple[int, int]) -> RunLengths:
    """Run lengths of the union of polygons, each x, y, x, y ... as :func:`polygons_of` gives them; as
    pycocotools draws them."""
    from pycocotools import mask as masks  # type: ignore[import-untyped]

    merged = masks.merge(masks.frPyObjects(polygons, *size))
    return np.array(_counts(merged["counts"].decode("ascii")), dtype=np.int64)


def polygons_of(
    segmentation: list[Any], size: tuple[int, int], scale: tuple[float, float] = (1, 1)
) -> tuple[list[list[float]], int]:
    """The polygons of a segmentation, and the number of parts that are none.

    One list of numbers is one polygon, and so is a list of pairs. ``scale`` multiplies x and y.
    """
    if segmentation and all(_is_number(value) for value in segmentation):
        segmentation = [segmentation]
    elif len(segmentation) >= 3 and all(_is_pair(part) for part in segmentation):
        segmentation = [[value for part in segmentation for value in part]]
    parts = [_polygon(points, size, scale) for points in segmentation]
    good = [part for part in parts if part is not None]
    return good, len(parts) - len(good)


def _is_pair(part: Any) -> bool:
    return isinstance(part, list) and len(part) == 2 and all(_is_number(value) for value in part)


def _fills(runs: RunLengths, size: tuple[int, int], box: MaskBox) -> bool:
    """Whether the pixels inside reach to the sides of the box, to two pixels."""
    rows, columns = np.nonzero(decode(runs, size))
    if not len(rows):
        return False
    found = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
    return bool(np.abs(np.array(found) - np.array(box)).max() <= 2)


def area(runs: RunLengths) -> int:
    """Number of pixels inside."""
    return int(runs[1::2].sum())


def decode(runs: RunLengths, size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """(H, W), True inside."""
    height, width = size
    is_inside = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return np.asarray(is_inside.reshape(width, height).T, dtype=np.bool_)


def _polygon(points: Any, size: tuple[int, int], scale: tuple[float, float]) -> list[float] | None:
    """x, y of the corners, none further outside than the image is large: C walks along every edge."""
    is_plain = isinstance(points, list) and len(points) >= 6 and len(points) % 2 == 0
    if not is_plain or not all(_is_number(value) for value in points):
        return None
    height, width = size
    corners = np.array(points, dtype=np.float64).reshape(-1, 2) * scale
    limits = np.array([width, height], dtype=np.float64)
    clipped: list[float] = np.clip(corners, -limits, 2 * limits).ravel().tolist()
    return clipped


def _counts(text: str) -> list[int] | None:
    """Counts of compressed run lengths: 5 bits a character, as differences to the last but one."""
    counts: list[int] = []
    value, shift = 0, 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 30:
            return None
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value, shift = 0, 0
    return counts if shift == 0 else None


def _are_counts(counts: list[Any]) -> bool:
    return all(isinstance(count, int) and not isinstance(count, bool) and count >= 0 for count in counts)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e9
