"""Boxes and masks of formats that state objects with outlines: one reading of the files serves both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from pocketvision.datasets.formats.contract import Layout, ReadSplit
from pocketvision.datasets.masks.outlined import outlined_records
from pocketvision.datasets.readers.stated import StatedImage, box_records
from pocketvision.datasets.records.annotations import DetectionRecords, SegmentationRecords
from pocketvision.datasets.records.notes import Notes


class Objects(NamedTuple):
    """The images of a split with their objects, the labels of all splits, and folders to find images in."""

    images: Sequence[StatedImage]
    labels: Sequence[str]
    folders: Sequence[Path]


def readers(objects_of: Callable[[Layout, str, Notes], Objects]) -> tuple[ReadSplit, ReadSplit]:
    """A format's ``read`` for boxes, which turned and other shapes stand for, and for masks; class 0 of
    these is the background."""

    def read_boxes(layout: Layout, split: str, notes: Notes) -> DetectionRecords:
        images, labels, folders = objects_of(layout, split, notes)
        return box_records(images, labels, split, layout.tree, notes, folders=folders)

    def read_masks(layout: Layout, split: str, notes: Notes) -> SegmentationRecords:
        images, labels, folders = objects_of(layout, split, notes)
        return outlined_records(images, labels, split, layout.tree, notes, folders=folders)

    return read_boxes, read_masks


def objects_of_file(
    layout: Layout, split: str, notes: Notes, images_of: Callable[[Path, Notes], Sequence[StatedImage]]
) -> Objects:
    """Of a format with a file for each split, which ``images_of`` reads."""
    file = layout.splits[split]
    notes.read.add(str(file))
    images = images_of(file, notes)
    others = [other for name, other in layout.splits.items() if name != split]
    every = [*images, *(image for other in others for image in images_of(other, Notes(strict=False)))]
    places = dict.fromkeys((file.parent, layout.tree.root))
    return Objects(
        images,
        sorted({item.label for image in every for item in image.objects}),
        [place / inner for place in places for inner in ("", "images", split)],
    )
