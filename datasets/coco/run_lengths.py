"""COCO's three ways to write a mask -> run lengths, checked before any C code sees them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvision.core.errors import InputError

RunLengths = npt.NDArray[np.int64]
"""Pixels outside, inside, outside ... in turn, counted column by column from the top left."""


def run_lengths(segmentation: Any, size: tuple[int, int], place: str) -> RunLengths:
    """Run lengths of polygons, of counts, or of counts as text (``cocoapi/common/maskApi.c``).

    Raises:
        InputError: the segmentation is none of these, or not of ``size`` (height, width); names ``place``.
    """
    height, width = size
    if isinstance(segmentation, list) and segmentation:
        return _draw([_polygon(points, size, place) for points in segmentation], size)
    if not isinstance(segmentation, dict) or segmentation.get("size") != [height, width]:
        raise InputError(
            f"{place}: its segmentation is no list of polygons and no run lengths of {width}x{height} "
            "pixels; correct it."
        )
    counts = segmentation.get("counts")
    if isinstance(counts, str):
        counts = _counts(counts)
    if not isinstance(counts, list) or not _are_counts(counts) or sum(counts) != height * width:
        raise InputError(f"{place}: its run lengths do not add up to {width}x{height} pixels; correct them.")
    return np.array(counts, dtype=np.int64)


def area(runs: RunLengths) -> int:
    """Number of pixels inside."""
    return int(runs[1::2].sum())


def decode(runs: RunLengths, size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """(H, W), True inside."""
    height, width = size
    is_inside = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return np.asarray(is_inside.reshape(width, height).T, dtype=np.bool_)


def _draw(polygons: list[list[float]], size: tuple[int, int]) -> RunLengths:
    """The union of the polygons, as pycocotools draws them."""
    from pycocotools import mask as masks  # type: ignore[import-untyped]

    merged = masks.merge(masks.frPyObjects(polygons, *size))
    return np.array(_counts(merged["counts"].decode("ascii")), dtype=np.int64)


def _polygon(points: Any, size: tuple[int, int], place: str) -> list[float]:
    """x, y of the corners, none further outside than the image is large: C walks along every edge."""
    is_plain = isinstance(points, list) and len(points) >= 6 and len(points) % 2 == 0
    if not is_plain or not all(_is_number(value) for value in points):
        raise InputError(f"{place}: its polygon is not three or more pairs of numbers (x, y); correct it.")
    height, width = size
    corners = np.array(points, dtype=np.float64).reshape(-1, 2)
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
