"""COCO: ``instances_{split}.json`` + ``{split}/``, or the official layout of 2017 and 2014.

Format: https://cocodataset.org/#format-data; boxes are (x, y, width, height) in pixels from 0.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pocketvision.core.errors import InputError
from pocketvision.datasets.coco.entries import (
    CocoCategories,
    CocoImages,
    read_categories,
    read_images,
)
from pocketvision.datasets.coco.index import read_index, write_index
from pocketvision.datasets.coco.json_file import load_coco
from pocketvision.datasets.coco.layouts import coco_files
from pocketvision.datasets.coco.rows import RowTables, place_of_row, read_annotations
from pocketvision.datasets.convert import write_coco
from pocketvision.datasets.formats.contract import DataFormat, Layout, read_split
from pocketvision.datasets.readers.assemble import BoxArrays, FloatBoxes, assemble
from pocketvision.datasets.readers.box_faults import mend_boxes
from pocketvision.datasets.readers.tree import FileTree
from pocketvision.datasets.records.annotations import DetectionRecords
from pocketvision.datasets.records.kinds import BOX_CONVENTION, BOX_RELATIVE, BOX_SWAPPED, IMAGE_TURNED
from pocketvision.datasets.records.notes import Notes

_CONVENTION = "xywh"
_MOVED = {BOX_SWAPPED, BOX_RELATIVE, BOX_CONVENTION, IMAGE_TURNED}
"""Boxes that are not where the file says: the truth is then that of the arrays."""


@dataclass(frozen=True)
class CocoContent:
    """A JSON with its ids understood. ``is_plain`` means that it says just what the records do."""

    file: Path
    images: CocoImages
    categories: CocoCategories
    rows: list[Any]
    found: BoxArrays
    is_plain: bool


def find(tree: FileTree) -> Layout | None:
    """Each annotation file is a split."""
    files = coco_files(tree)
    aliases = {file.stem.removeprefix("instances_"): split for split, file in files.items()}
    return Layout(tree, files, aliases=aliases) if files else None


def read(layout: Layout, split: str, notes: Notes) -> DetectionRecords:
    """Classes are ordered by category id, whose gaps do not matter.

    Images without annotations are kept as background, crowd boxes are kept and marked. Of a large file
    an index is kept in the cache folder, and used while the file stays the same.
    """
    file, tree = layout.splits[split], layout.tree
    notes.read.add(str(file))
    if notes.strict:
        records = read_index(file, tree)
        if records is not None:
            notes.extend(records.notes)
            return records
    content = read_content(file, split, tree, notes)
    records = _assemble(content, tree, notes)
    if notes.strict and content.images.has_sizes:
        return write_index(replace(records, notes=notes.as_notes()), file, tree.root)
    return records


def read_content(
    file: Path, split: str, tree: FileTree, notes: Notes, *, polygons: bool = False
) -> CocoContent:
    """Everything that a JSON says of images, classes and boxes.

    Raises:
        InputError: it is no JSON, or says nothing of images.
    """
    content = load_coco(file, polygons=polygons)
    if not content["images"]:
        raise InputError(f"Split '{split}' has no images ({file}): add some, or name another split.")
    rows = content["annotations"]
    categories = read_categories(content["categories"], rows, file, notes)
    images = read_images(content["images"], split, file, tree, notes)
    tables = RowTables(file, images.owners, categories.label_of, images.paths)
    found, are_clean = read_annotations(rows, tables, notes, lambda: load_coco(file)["annotations"])
    is_plain = are_clean and categories.is_stated and images.is_stated
    return CocoContent(file, images, categories, rows, found, is_plain)


def read_coco(root: str | Path, split: str) -> DetectionRecords:
    """Read a COCO detection split of ``root``, its folder or one JSON; see :func:`read`.

    Raises:
        InputError: a file is missing or an entry is wrong; the sentence names it.
    """
    records: DetectionRecords = read_split(FORMAT, root, split)
    return records


def mended_boxes(content: CocoContent) -> tuple[FloatBoxes, bool]:
    """Boxes (B, 4) xyxy of ``content.found`` as the records have them, but for EXIF's turns; and whether
    they are stated as shares of their image."""
    told, sizes = Notes(strict=False), np.array(content.images.sizes, dtype=np.int32).reshape(-1, 2)
    found, paths = content.found, content.images.paths
    boxes, _ = mend_boxes(
        found.boxes, found.owners, sizes, paths, _CONVENTION, lambda i: (content.file, ""), told
    )
    return boxes, BOX_RELATIVE in told.counts


def _assemble(content: CocoContent, tree: FileTree, notes: Notes) -> DetectionRecords:
    images, rows, found = content.images, content.rows, content.found
    numbers = found.rows

    def place_of(i: int) -> tuple[Path, str]:
        return content.file, place_of_row(rows, i if numbers is None else int(numbers[i]))

    records = assemble(
        found,
        place_of,
        notes,
        root=tree.root,
        image_paths=images.paths,
        image_ids=images.ids,
        sizes=images.sizes,
        class_names=content.categories.names,
        category_ids=content.categories.ids,
        convention=_CONVENTION,
        annotation_file=str(content.file) if content.is_plain else None,
    )
    return replace(records, annotation_file=None) if _MOVED & notes.counts.keys() else records


FORMAT = DataFormat(
    name="coco",
    task="detection",
    title="COCO boxes",
    signs="instances_{split}.json or another COCO JSON, and images",
    find=find,
    read=read,
    write=write_coco.WRITER,
    data_module="CocoDataModule",
)
