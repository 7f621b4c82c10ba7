"""Boxes for ``--fix``: what stays, under which name and where; and the writer of each format's text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pocketvision.core.errors import InputError
from pocketvision.doctor.checks.boxes import CleanBoxes
from pocketvision.doctor.checks.classes import same_but_for_case
from pocketvision.doctor.checks.files import BoxFrame
from pocketvision.doctor.checks.images import ImageFacts
from pocketvision.doctor.fixes.images import FixedImage, fix_images
from pocketvision.doctor.raw.conventions import CONVENTIONS, StatedBoxes
from pocketvision.doctor.raw.stated import RawDetection


@dataclass(frozen=True)
class FixedBoxes:
    """What the writers write.

    Attributes:
        data: the data set as it was read.
        images: index of an image -> its file in the output; images without are left out.
        rows: for each image, its boxes that are kept.
        boxes: (B, 4) xyxy pixels of the output's images.
        changed: (B,) whether a box is not as it was stated.
        name_of: class name -> the variant that it is merged to.
    """

    data: RawDetection
    images: dict[int, FixedImage]
    rows: dict[int, list[int]]
    boxes: StatedBoxes
    changed: np.ndarray
    name_of: dict[str, str]

    def class_of(self, row: int) -> str:
        """The merged class name of a box."""
        return self.name_of[self.data.class_names[self.data.boxes.labels[row]]]

    def of_split(self, split: str) -> list[int]:
        """Images of a split that stay."""
        return [i for i in self.images if split in self.data.images[i].splits]

    @property
    def splits(self) -> list[str]:
        """All splits, in the order in which they were read."""
        return list(dict.fromkeys(split for image in self.data.images for split in image.splits))

    @property
    def class_names(self) -> list[str]:
        """Merged class names, each once."""
        return list(dict.fromkeys(self.name_of[name] for name in self.data.class_names))


AnnotationWriter = Callable[[FixedBoxes, Path], None]


def fix_detection(
    data: RawDetection,
    clean: CleanBoxes,
    frames: list[BoxFrame],
    facts: dict[str, ImageFacts],
    output: Path,
    write: AnnotationWriter,
) -> None:
    """Write a cleaned copy of a detection data set into ``output``.

    Raises:
        InputError: nothing would be left.
    """
    kept = {
        i: (image.path, frames[i].is_turned)
        for i, image in enumerate(data.images)
        if image.exists and image.is_annotated and image.splits
    }
    written = fix_images(kept.values(), facts, data.root, output)
    images = {i: written[path] for i, (path, _) in kept.items() if path in written}
    if not images:
        raise InputError(f"{data.root} has no image with readable annotations: there is nothing to write.")
    boxes, changed = _place(data, clean, frames, images)
    rows: dict[int, list[int]] = {i: [] for i in images}
    for row in np.flatnonzero(clean.keep).tolist():
        if data.boxes.owners[row] in rows:
            rows[data.boxes.owners[row]].append(row)
    write(FixedBoxes(data, images, rows, boxes, changed, _merge(data, clean)), output)


def _place(
    data: RawDetection, clean: CleanBoxes, frames: list[BoxFrame], images: dict[int, FixedImage]
) -> tuple[StatedBoxes, np.ndarray]:
    """Boxes in pixels of the written images, and which of them are not as they were stated."""
    owners = np.array(data.boxes.owners, dtype=np.int64)
    scale, sizes = np.ones((len(data.images), 2)), np.ones((len(data.images), 2))
    for i, image in images.items():
        frame = frames[i].size or image.size
        scale[i] = image.size[1] / frame[1], image.size[0] / frame[0]
        sizes[i] = frame
    boxes = clean.boxes * np.tile(scale[owners], 2)
    stated = CONVENTIONS[data.convention].decode(data.boxes.array(), sizes[owners])
    return boxes, np.asarray(~(np.abs(stated - boxes) <= 1e-3).all(axis=1))


def _merge(data: RawDetection, clean: CleanBoxes) -> dict[str, str]:
    """Class name -> the most frequent of the names that differ from it by case or spaces only."""
    counts = Counter(data.class_names[data.boxes.labels[i]] for i in np.flatnonzero(clean.keep).tolist())
    merged = {name: name for name in data.class_names}
    for variants in same_but_for_case(data.class_names):
        best = max(variants, key=lambda name: counts[name])
        merged |= dict.fromkeys(variants, best)
    return merged
