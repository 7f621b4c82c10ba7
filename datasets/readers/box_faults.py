"""What can be wrong with the boxes of a split, looked for in all at once: mended, left out, and told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pocketvision.datasets.readers.conventions import CONVENTIONS, guess_convention
from pocketvision.datasets.records.kinds import (
    BOX_AWAY,
    BOX_CONVENTION,
    BOX_OUTSIDE,
    BOX_RELATIVE,
    BOX_SWAPPED,
    BOX_TWICE,
    BOX_WITHOUT_AREA,
)
from pocketvision.datasets.records.notes import Kind, NotedBox, Notes

_Boxes = npt.NDArray[np.float64]
_Flags = npt.NDArray[np.bool_]
_Owners = npt.NDArray[np.int64]
_Place = Callable[[int], tuple[Path, str]]

_BEYOND = 1.0
_ROUNDING = 1.0 + 1e-6
_SHARES = ("relative_xyxy", "relative_xywh", "yolo")
_TINY = 8
"""Sides up to which an image may have boxes of one pixel only."""


def mend_boxes(
    stated: _Boxes,
    owners: _Owners,
    sizes: npt.NDArray[np.int32],
    image_paths: Sequence[str],
    convention: str,
    place_of: _Place,
    notes: Notes,
) -> tuple[_Boxes, _Flags]:
    """Boxes (B, 4) xyxy pixels inside their images, and which of them can be kept (B,).

    ``sizes`` are (N, 2), those of the images; ``stated`` are xyxy pixels by ``convention``.
    """
    own = sizes[owners]
    boxes = _decoded(stated, own, convention, place_of, notes)
    tell = _Teller(image_paths, owners, own, place_of, notes)
    swapped = np.asarray((boxes[:, :2] > boxes[:, 2:]).any(axis=1), dtype=np.bool_)
    if swapped.any():
        boxes = _sorted(boxes, one=1.0 if convention == "voc" else 0.0)
    clipped = np.clip(boxes, 0.0, np.concatenate((own[:, ::-1], own[:, ::-1]), axis=1))
    keep = np.asarray((clipped[:, 2:] > clipped[:, :2]).all(axis=1), dtype=np.bool_)
    beyond = np.asarray(keep & (np.abs(clipped - boxes) > _BEYOND).any(axis=1), dtype=np.bool_)
    if not keep.all():
        flat = np.asarray((boxes[:, 2:] <= boxes[:, :2]).any(axis=1), dtype=np.bool_)
        tell(BOX_WITHOUT_AREA, boxes, ~keep & flat, "it has no area; draw it again, or remove it.")
        tell(BOX_AWAY, boxes, ~keep & ~flat, "it lies wholly outside its image; remove it.")
    tell(BOX_SWAPPED, boxes, swapped & keep, "its corners were swapped; sort them.")
    tell(BOX_OUTSIDE, boxes, beyond, "it reaches outside its image; clip it.")
    return clipped, keep


def tell_twice(
    boxes: _Boxes,
    owners: _Owners,
    labels: npt.NDArray[np.int64],
    keep: _Flags,
    image_paths: Sequence[str],
    place_of: _Place,
    notes: Notes,
) -> None:
    """Tell the boxes that equal an earlier one of their image and class; training keeps them."""
    rows = np.flatnonzero(keep)
    repeated = np.zeros(len(boxes), dtype=np.bool_)
    repeated[rows[repeated_boxes(boxes[rows], owners[rows], labels[rows])]] = True
    tell = _Teller(image_paths, owners, None, place_of, notes)
    tell(BOX_TWICE, boxes, repeated, "the same box of the same class is there before; remove one.")


def repeated_boxes(boxes: npt.NDArray[np.floating], owners: _Owners, labels: npt.NDArray[np.int64]) -> _Flags:
    """(B,): whether a box equals an earlier one of its image and class, to a hundredth of a pixel."""
    table = np.column_stack((owners, labels, np.round(boxes * 100).astype(np.int64)))
    _, first = np.unique(table, axis=0, return_index=True)
    repeated = np.ones(len(boxes), dtype=np.bool_)
    repeated[first] = False
    return repeated


def _decoded(
    stated: _Boxes, sizes: npt.NDArray[np.int32], convention: str, place_of: _Place, notes: Notes
) -> _Boxes:
    """xyxy pixels by the convention that the boxes follow; another than the stated one is told."""
    if not len(stated):
        return stated
    floats = sizes.astype(np.float64)
    believed = _believed(stated, floats, convention)
    if believed == convention:
        return stated
    file, where = place_of(0)
    values = CONVENTIONS[convention].encode(stated, floats)
    boxes = CONVENTIONS[believed].decode(values, floats)
    is_share = convention != "yolo" and believed in _SHARES
    sentence = (
        f"{file}: most of its boxes lie inside their images only if their numbers are "
        f"{CONVENTIONS[believed].text}, not {CONVENTIONS[convention].text} as this format has them: convert "
        "them, or let check-data --fix do it."
    )
    kind = BOX_RELATIVE if is_share else BOX_CONVENTION
    notes.add(kind, file, sentence, where)
    notes.count(kind, len(stated) - 1)
    return boxes


def _believed(stated: _Boxes, sizes: _Boxes, convention: str) -> str:
    guessed = guess_convention(stated, sizes, convention)
    if guessed != convention or convention == "yolo" or stated.max() > 2 * _ROUNDING or sizes.min() <= _TINY:
        return guessed
    values = CONVENTIONS[convention].encode(stated, sizes)
    shares = [name for name in CONVENTIONS[convention].mistaken_for if name.startswith("relative")]
    are_shares = bool(shares) and 0 < values.max() <= _ROUNDING
    return shares[0] if are_shares else convention


def _sorted(boxes: _Boxes, one: float) -> _Boxes:
    """Corners in order; VOC counts a box's first pixel from 1 and so moves its first corner by ``one``."""
    first, second = boxes[:, :2], boxes[:, 2:]
    is_swapped = first > second
    low, high = np.where(is_swapped, second - one, first), np.where(is_swapped, first + one, second)
    return np.concatenate((low, high), axis=1)


class _Teller:
    def __init__(
        self,
        image_paths: Sequence[str],
        owners: _Owners,
        sizes: npt.NDArray[np.int32] | None,
        place_of: _Place,
        notes: Notes,
    ) -> None:
        self.image_paths, self.owners, self.sizes = image_paths, owners, sizes
        self.place_of, self.notes = place_of, notes

    def __call__(self, kind: Kind, boxes: _Boxes, which: _Flags, what: str) -> None:
        """Tell of the boxes ``which``; sentences are made for as many as are kept."""
        found = np.flatnonzero(which).tolist()
        for done, i in enumerate(found):
            if self.notes.is_full(kind):
                self.notes.count(kind, len(found) - done)
                return
            file, where = self.place_of(i)
            left, top, right, bottom = (float(value) for value in boxes[i])
            size = "" if self.sizes is None else f" in an image of {self.sizes[i, 1]}x{self.sizes[i, 0]}"
            corners = f"({left:g}, {top:g}, {right:g}, {bottom:g})"
            place = f"{file}, {where}" if where else f"{file}"
            sentence = f"{place}: the box {corners}{size}: {what}"
            box: NotedBox = (left, top, right, bottom)
            self.notes.add(kind, file, sentence, where, self.image_paths[self.owners[i]], [box])
