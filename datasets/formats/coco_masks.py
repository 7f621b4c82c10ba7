"""COCO's polygons and run lengths as masks of classes, drawn once into the cache folder.

Class 0 is ``background``; the others are the categories by id. Format: https://cocodataset.org/#format-data
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

from pocketvision.core.errors import InputError
from pocketvision.core.structures import IGNORE_INDEX, Size
from pocketvision.datasets.coco.rows import place_of_row
from pocketvision.datasets.coco.run_lengths import MaskBox, RunLengths, box_runs, counted, draw, polygons_of
from pocketvision.datasets.formats import coco
from pocketvision.datasets.formats.contract import DataFormat, Layout, read_split
from pocketvision.datasets.masks.drawn import BACKGROUND, Draw, DrawnObject, drawn_records
from pocketvision.datasets.readers.tree import FileTree
from pocketvision.datasets.records.annotations import SegmentationRecords
from pocketvision.datasets.records.kinds import OUTLINE_BROKEN, OUTLINE_DROPPED, OUTLINE_IS_BOX
from pocketvision.datasets.records.notes import Notes


def read(layout: Layout, split: str, notes: Notes) -> SegmentationRecords:
    """Masks (H, W) uint8 of a split; files and classes as :func:`pocketvision.datasets.formats.coco.read`.

    An object without outline is filled as its box.
    """
    records = coco.read(layout, split, notes)
    file, tree = layout.splits[split], layout.tree
    names = tuple(str(name) for name in records.class_names if name not in (None, BACKGROUND))

    def start(told: Notes) -> Any:
        return _Outlines(file, split, tree, names, told).objects_of

    drawing: Draw = start
    key = ("coco", file, len(records))
    sizes = [(int(height), int(width)) for height, width in records.sizes]
    ids = records.image_ids.tolist()
    return drawn_records(key, records.image_paths, sizes, ids, names, drawing, notes)


def read_coco_segmentation(root: str | Path, split: str) -> SegmentationRecords:
    """Read a COCO split as masks; see :func:`read`.

    Raises:
        InputError: a file is missing, an entry is wrong or no annotation has a mask.
    """
    records: SegmentationRecords = read_split(FORMAT, root, split)
    return records


class _Outlines:
    """The objects of each image, from the JSON with its polygons."""

    def __init__(
        self,
        file: Path,
        split: str,
        tree: FileTree,
        names: tuple[str, ...],
        notes: Notes,
    ) -> None:
        content = coco.read_content(file, split, tree, Notes(strict=False), polygons=True)
        self.file, self.notes, self.rows = file, notes, content.rows
        found = content.found
        numbers = range(len(found.owners)) if found.rows is None else found.rows.tolist()
        with_outline = sum(bool(self.rows[number].get("segmentation")) for number in numbers)
        if not with_outline:
            raise InputError(f"{file} has boxes but no masks ('segmentation'): use it for detection.")
        value_of = {name: i for i, name in enumerate(names, start=1)}
        self.sizes = content.images.sizes
        self.objects: dict[int, list[tuple[int, int, MaskBox]]] = defaultdict(list)
        boxes, self.are_shares = coco.mended_boxes(content)
        for k, number in enumerate(numbers):
            name = content.categories.names[int(found.labels[k])]
            value = IGNORE_INDEX if found.crowd[k] else value_of.get(name, 0)
            left, top, right, bottom = boxes[k].tolist()
            self.objects[int(found.owners[k])].append((number, value, (left, top, right, bottom)))

    def objects_of(self, index: int) -> tuple[Size, list[DrawnObject]]:
        size = self.sizes[index]
        drawn = ((value, self._runs(number, size, box)) for number, value, box in self.objects[index])
        return size, [DrawnObject(value, runs) for value, runs in drawn if runs is not None]

    def _runs(self, number: int, size: Size, box: MaskBox) -> RunLengths | None:
        segmentation, where = self.rows[number].get("segmentation"), place_of_row(self.rows, number)
        place = f"{self.file}, {where}"
        if isinstance(segmentation, dict):
            try:
                return counted(segmentation, size, place, box)
            except InputError as error:
                self.notes.add(OUTLINE_BROKEN, self.file, str(error), where)
                return None
        height, width = size
        scale = (width, height) if self.are_shares else (1, 1)
        parts, dropped = polygons_of(segmentation if isinstance(segmentation, list) else [], size, scale)
        for _ in range(dropped):
            what = "a part of its polygon is not three or more pairs of numbers (x, y); correct it."
            self.notes.add(OUTLINE_DROPPED, self.file, f"{place}: {what}", where)
        if parts:
            return draw(parts, size)
        self.notes.add(
            OUTLINE_IS_BOX, self.file, f"{place}: it has no outline, and its box is filled.", where
        )
        return box_runs(box, size)


FORMAT = DataFormat(
    name="coco_masks",
    task="segmentation",
    title="COCO masks",
    signs="instances_{split}.json or another COCO JSON",
    find=coco.find,
    read=read,
    data_module="CocoSegmentationDataModule",
)
