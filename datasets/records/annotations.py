"""What a reader returns: the annotations of one split, checked, as flat arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from pocketvision.core.errors import InputError
from pocketvision.core.structures import IGNORE_INDEX, OTHER_INDEX
from pocketvision.datasets.records.kinds import (
    CLASS_NOT_IN_MODEL,
    IMAGE_NOT_IN_MODEL,
    PIXELS_NOT_IN_MODEL,
)
from pocketvision.datasets.records.notes import Note, note

_NOT_LEARNED = "Their pixels are not learned, and in scores they are of no class"
Boxes = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]
Mask = npt.NDArray[np.uint8]

UNEXPECTED = 254
"""Entry of a lookup for values that a mask must not have."""


_MAX_LISTED = 100
"""Names in a sentence; COCO's fit, ImageNet's would fill the screen."""


class MissingSplitError(InputError):
    """The data set has no such split."""


@dataclass(frozen=True)
class DetectionRecords:
    """Boxes of N images in flat arrays; image i owns the boxes ``offsets[i]:offsets[i + 1]``.

    Attributes:
        root: folder of the data set.
        image_paths: N files.
        image_ids: (N,) int64, as in the annotation file.
        sizes: (N, 2) int32, (height, width) as the annotations state it.
        offsets: (N + 1,) int64.
        boxes: (B, 4) float32, xyxy pixels, inside their images.
        labels: (B,) int64, index into ``class_names``.
        crowd: (B,) bool, never trained on and ignored in evaluation.
        areas: (B,) float64, square pixels, of the segmentation where the file has one.
        class_names: a None is a reserved slot that no box has.
        category_ids: the file's ids in the order of ``class_names``; -1 where the data has no such class.
        annotation_file: the COCO JSON, when there is one.
        notes: what the reader repaired or left out, counted by kind.
        difficult: (B,) bool, trained on but ignored in evaluation (VOC); None means none are.
        rows: (B,) int64, the number of each box's entry in its annotation file, for formats that are one.
    """

    root: str
    image_paths: Sequence[str]
    image_ids: npt.NDArray[np.int64]
    sizes: npt.NDArray[np.int32]
    offsets: npt.NDArray[np.int64]
    boxes: Boxes
    labels: Labels
    crowd: npt.NDArray[np.bool_]
    areas: npt.NDArray[np.float64]
    class_names: tuple[str | None, ...]
    category_ids: tuple[int, ...]
    annotation_file: str | None = None
    notes: tuple[Note, ...] = ()
    difficult: npt.NDArray[np.bool_] | None = None
    rows: npt.NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.image_paths)

    def boxes_of(self, index: int) -> slice:
        """Slice of the box arrays that belongs to image ``index``."""
        return slice(int(self.offsets[index]), int(self.offsets[index + 1]))

    def select(
        self, class_names: Sequence[str | None], *, unknown: Literal["drop", "error"] = "drop"
    ) -> DetectionRecords:
        """The same images with labels that index ``class_names``; boxes of other classes are dropped.

        Raises:
            InputError: none of the names is a class of the data, or with ``unknown="error"`` a box has
                a class that is not among them.
        """
        table = _new_labels(self.class_names, class_names, self.root)
        labels = table[np.asarray(self.labels)]
        keep, notes = labels >= 0, self.notes
        if not keep.all():
            if unknown == "error":
                told, known = self._unknown(keep, ""), _list(class_names)
                raise InputError(f"{told} Rename these objects, or add the class to the model's: {known}.")
            notes = (*notes, self._unknown(keep, " and are left out"))
        ids = dict(zip(self.class_names, self.category_ids, strict=True))
        if np.array_equal(table, np.arange(len(table))):
            labels = self.labels  # no class moves: the array may lie in a file that workers share
        kept = self if keep.all() else self.keep(keep)
        return replace(
            kept,
            labels=labels[keep] if kept is not self else labels,
            class_names=tuple(class_names),
            category_ids=tuple(-1 if name is None else ids.get(name, -1) for name in class_names),
            notes=notes,
        )

    def keep(self, keep: npt.NDArray[np.bool_]) -> DetectionRecords:
        """The same images with the boxes ``keep`` (B,)."""
        kept_before = np.concatenate(([0], np.cumsum(keep)))
        return replace(
            self,
            offsets=kept_before[self.offsets].astype(np.int64),
            boxes=self.boxes[keep],
            labels=self.labels[keep],
            crowd=self.crowd[keep],
            areas=self.areas[keep],
            difficult=None if self.difficult is None else self.difficult[keep],
            rows=None if self.rows is None else self.rows[keep],
        )

    def owners(self) -> npt.NDArray[np.int64]:
        """(B,) the index of each box's image."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    def _unknown(self, keep: npt.NDArray[np.bool_], done: str) -> Note:
        first = int(np.argmin(keep))
        image = int(np.searchsorted(self.offsets, first, side="right")) - 1
        names = sorted({str(self.class_names[label]) for label in np.unique(self.labels[~keep])})
        count = int((~keep).sum())
        path = self.image_paths[image]
        kind = replace(CLASS_NOT_IN_MODEL, told=f"{CLASS_NOT_IN_MODEL.told}{done}: {', '.join(names)}")
        return note(kind, count, path, f"{path} has a box of class '{names[0]}'.")


@dataclass(frozen=True)
class SegmentationRecords:
    """Pairs of image and mask files of one split.

    Attributes:
        image_paths: N files.
        mask_paths: N single-channel files.
        image_ids: (N,) int64.
        class_names: a None is a reserved slot that no pixel has.
        lookup: (256,) uint8, mask value -> class index, 255 for ignored, 253 for classes
            that the model does not know, 254 for unexpected values.
        mask_sources: the N files as they came, where ``mask_paths`` are converted copies.
        notes: what the reader repaired or left out, counted by kind.
    """

    image_paths: Sequence[str]
    mask_paths: Sequence[str]
    image_ids: npt.NDArray[np.int64]
    class_names: tuple[str | None, ...]
    lookup: Mask
    notes: tuple[Note, ...] = ()
    mask_sources: Sequence[str] | None = None

    def source(self, index: int) -> str:
        """The file in which mask ``index`` came, for sentences."""
        return (self.mask_sources or self.mask_paths)[index]

    def __len__(self) -> int:
        return len(self.image_paths)

    def select(
        self, class_names: Sequence[str | None], *, unknown: Literal["ignore", "other"] = "ignore"
    ) -> SegmentationRecords:
        """The same masks as indices into ``class_names``; other classes of the data become 255, or
        ``OTHER_INDEX``, and a note names them.

        Raises:
            InputError: none of the names is a class of the data.
        """
        where = str(Path(self.mask_paths[0]).parent) if self.mask_paths else "The data"
        table = _new_labels(self.class_names, class_names, where)
        values = np.arange(256)
        is_other = np.array([name is not None for name in self.class_names]) & (table < 0)
        has_room = len(class_names) <= OTHER_INDEX
        beyond = OTHER_INDEX if unknown == "other" and has_room else IGNORE_INDEX
        values[: len(table)] = np.where(table >= 0, table, np.where(is_other, beyond, IGNORE_INDEX))
        lookup = values[self.lookup].astype(np.uint8)
        notes = self.notes
        if is_other.any():
            names = [name for name, is_left in zip(self.class_names, is_other, strict=True) if is_left]
            told = f"of the {len(table)} {PIXELS_NOT_IN_MODEL.told}: {_list(names)}. {_NOT_LEARNED}"
            kind = replace(PIXELS_NOT_IN_MODEL, told=told)
            sentence = f"{where} has masks of class '{names[0]}', which is not among the model's."
            notes = (*notes, note(kind, len(names), where, sentence))
        return replace(self, class_names=tuple(class_names), lookup=lookup, notes=notes)

    def to_classes(self, mask: Mask, path: str) -> Mask:
        """Class indices (H, W) of the raw mask (H, W) read from ``path``.

        Raises:
            InputError: the mask has a value that is neither a class nor ignored.
        """
        classes: Mask = cv2.LUT(mask, self.lookup).astype(np.uint8, copy=False)
        unexpected = classes == UNEXPECTED
        if unexpected.any():
            values = ", ".join(str(value) for value in np.unique(mask[unexpected]))
            known = np.flatnonzero(self.lookup[:IGNORE_INDEX] != UNEXPECTED)
            raise InputError(
                f"{path} has the values {values}, which are neither classes nor ignored (known are "
                f"{known[0]} to {known[-1]}): correct the mask, name their classes, or list them in "
                "data.ignore_ids."
            )
        return classes


@dataclass(frozen=True)
class ClassificationRecords:
    """N images of one split, each of one class.

    Attributes:
        root: folder of the data set.
        image_paths: N files.
        image_ids: (N,) int64.
        labels: (N,) int64, index into ``class_names``.
        class_names: a None is a reserved slot that no image has; a class may be without images.
        notes: what the reader repaired or left out, counted by kind.
    """

    root: str
    image_paths: Sequence[str]
    image_ids: npt.NDArray[np.int64]
    labels: Labels
    class_names: tuple[str | None, ...]
    notes: tuple[Note, ...] = ()

    def __len__(self) -> int:
        return len(self.image_paths)

    def select(self, class_names: Sequence[str | None]) -> ClassificationRecords:
        """Labels that index ``class_names``; images of other classes are left out, with a counted note.

        Raises:
            InputError: none of the names is a class of the data, or none of those has an image.
        """
        table = _new_labels(self.class_names, class_names, self.root)
        labels = table[self.labels]
        kept = np.flatnonzero(labels >= 0)
        if not len(kept):
            raise InputError(
                f"{self.root} has no image of the model's classes ({_list(class_names)}): add some, or name "
                "another split."
            )
        notes = self.notes
        if len(kept) < len(labels):
            dropped = np.flatnonzero(labels < 0)
            names = sorted({str(self.class_names[label]) for label in np.unique(self.labels[dropped])})
            path = self.image_paths[int(dropped[0])]
            told = f"{IMAGE_NOT_IN_MODEL.told}: {_list(names)}"
            kind = replace(IMAGE_NOT_IN_MODEL, told=told)
            notes = (*notes, note(kind, len(dropped), path, f"{path} has the class '{names[0]}'."))
        return replace(
            self,
            image_paths=[self.image_paths[i] for i in kept.tolist()],
            image_ids=self.image_ids[kept],
            labels=labels[kept],
            class_names=tuple(class_names),
            notes=notes,
        )


def _new_labels(old: Sequence[str | None], new: Sequence[str | None], where: str) -> Labels:
    """Table (len(old),) from old to new labels, -1 for classes that ``new`` does not have."""
    index = {name: i for i, name in enumerate(new) if name is not None}
    if len(index) < sum(name is not None for name in new):
        raise InputError(f"The model's class names have one twice: {_list(new)}; name every class once.")
    table = np.array([-1 if name is None else index.get(name, -1) for name in old], dtype=np.int64)
    if not (table >= 0).any():
        raise InputError(
            f"{where} has none of the model's classes; the data has: {_list(old)}; the model has: "
            f"{_list(new)}; use data and model with common class names."
        )
    return table


def _list(names: Sequence[str | None]) -> str:
    known = [name for name in names if name is not None]
    shown = ", ".join(known[:_MAX_LISTED]) or "no class"
    return f"{shown} ... ({len(known)} in all)" if len(known) > _MAX_LISTED else shown


AnyRecords = ClassificationRecords | DetectionRecords | SegmentationRecords
