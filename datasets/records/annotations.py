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
        notes: counted warnings about what was dropped.
        difficult: (B,) bool, trained on but ignored in evaluation (VOC); None means none are.
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
    notes: tuple[str, ...] = ()
    difficult: npt.NDArray[np.bool_] | None = None

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
            sentence = self._dropped(keep)
            if unknown == "error":
                raise InputError(
                    f"{sentence} Rename these objects, or add the class to the model's: {_list(class_names)}."
                )
            notes = (*notes, f"{sentence} They are left out.")
        ids = dict(zip(self.class_names, self.category_ids, strict=True))
        if np.array_equal(table, np.arange(len(table))):
            labels = self.labels  # no class moves: the array may lie in a file that workers share
        kept = self if keep.all() else self._keep(keep)
        return replace(
            kept,
            labels=labels[keep] if kept is not self else labels,
            class_names=tuple(class_names),
            category_ids=tuple(-1 if name is None else ids.get(name, -1) for name in class_names),
            notes=notes,
        )

    def _keep(self, keep: npt.NDArray[np.bool_]) -> DetectionRecords:
        kept_before = np.concatenate(([0], np.cumsum(keep)))
        return replace(
            self,
            offsets=kept_before[self.offsets].astype(np.int64),
            boxes=self.boxes[keep],
            labels=self.labels[keep],
            crowd=self.crowd[keep],
            areas=self.areas[keep],
            difficult=None if self.difficult is None else self.difficult[keep],
        )

    def _dropped(self, keep: npt.NDArray[np.bool_]) -> str:
        first = int(np.argmin(keep))
        image = int(np.searchsorted(self.offsets, first, side="right")) - 1
        names = sorted({str(self.class_names[label]) for label in np.unique(self.labels[~keep])})
        count = int((~keep).sum())
        return (
            f"{count} {'box has' if count == 1 else 'boxes have'} a class that is not among the model's: "
            f"{', '.join(names)} (first: {self.image_paths[image]})."
        )


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
        notes: counted warnings.
    """

    image_paths: Sequence[str]
    mask_paths: Sequence[str]
    image_ids: npt.NDArray[np.int64]
    class_names: tuple[str | None, ...]
    lookup: Mask
    notes: tuple[str, ...] = ()

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
            notes = (
                *notes,
                f"{len(names)} of the {len(table)} classes of the data are not among the model's: "
                f"{_list(names)}. Their pixels are not learned, and in scores they are of no class.",
            )
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
        notes: counted warnings.
    """

    root: str
    image_paths: Sequence[str]
    image_ids: npt.NDArray[np.int64]
    labels: Labels
    class_names: tuple[str | None, ...]
    notes: tuple[str, ...] = ()

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
            notes = (
                *notes,
                f"{len(dropped)} of {len(labels)} images have a class that is not among the model's and are "
                f"left out: {_list(names)} (first: {self.image_paths[int(dropped[0])]}).",
            )
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
