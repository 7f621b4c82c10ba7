"""YOLO's polygons (``class x1 y1 x2 y2 ...`` as shares of the image's sides) as masks of classes.

Format: https://docs.ultralytics.com/datasets/segment; class 0 is the background, the others are YOLO's.
"""

from __future__ import annotations

from typing import Any

from pocketvision.core.errors import InputError
from pocketvision.core.structures import Size
from pocketvision.datasets.coco.run_lengths import box_runs, draw, polygons_of
from pocketvision.datasets.formats import yolo
from pocketvision.datasets.formats.contract import DataFormat, Layout
from pocketvision.datasets.masks.drawn import DrawnObject, drawn_records
from pocketvision.datasets.readers.yolo_labels import YoloLine, find_labels, read_label
from pocketvision.datasets.readers.yolo_layouts import YoloLayout
from pocketvision.datasets.records.annotations import SegmentationRecords
from pocketvision.datasets.records.kinds import BOX_FROM_OUTLINE, OUTLINE_IS_BOX
from pocketvision.datasets.records.notes import Notes


def read(layout: Layout, split: str, notes: Notes) -> SegmentationRecords:
    """An object that is a box is filled as such; an image without label file is background."""
    found: YoloLayout = layout.splits[split]
    tree = layout.tree
    notes.read.add(str(found.file))
    images, sizes = yolo.images_of(found, split, tree, notes)
    labels = find_labels(images, split, found, tree, notes)
    told = Notes(strict=notes.strict, read=notes.read)
    lines = [read_label(labels[image], found, told) if image in labels else [] for image in images]
    notes.extend(note for note in told.as_notes() if note.kind != BOX_FROM_OUTLINE)
    if not any(line.outline for own in lines for line in own):
        raise InputError(f"{found.file} has boxes but no polygons: use it for detection.")
    names = [str(name) for name in found.class_names]

    def start(own: Notes) -> Any:
        def objects_of(index: int) -> tuple[Size, list[DrawnObject]]:
            place = labels.get(images[index])
            drawn = [_draw(line, sizes[index]) for line in lines[index]]
            for line in lines[index]:
                if not line.outline:
                    where = f"line {line.number}"
                    sentence = f"{place}, {where}: it has no outline, and its box is filled."
                    own.add(OUTLINE_IS_BOX, place, sentence, where, images[index])
            return sizes[index], drawn

        return objects_of

    key = ("yolo", split, found.file, *(labels[image] for image in images if image in labels))
    paths = [str(image) for image in images]
    return drawn_records(key, paths, sizes, list(range(1, len(paths) + 1)), names, start, notes)


def _draw(line: YoloLine, size: Size) -> DrawnObject:
    height, width = size
    value = line.label + 1
    if line.outline:
        scaled = [side * (height if i % 2 else width) for i, side in enumerate(line.outline)]
        parts, _ = polygons_of([scaled], size)
        if parts:
            return DrawnObject(value, draw(parts, size))
    x, y, w, h = line.box
    box = ((x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height)
    return DrawnObject(value, box_runs(box, size))


_SIGNS = "data.yaml, or folders images and labels"
FORMAT = DataFormat("yolo_masks", "segmentation", "YOLO polygons", _SIGNS, yolo.find, read, weak=True)
