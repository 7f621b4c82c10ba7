"""Boxes in a CSV file: a row a box, an image without boxes in a row without box.

With a header the columns are found by their names; without one they are those of RetinaNet's readers
(https://github.com/fizyr/keras-retinanet#csv-datasets): path, x1, y1, x2, y2, class. Pixels count from 0.
Open Images' tables have shares of the image (https://storage.googleapis.com/openimages/web/download.html).
"""

from __future__ import annotations

import math
from pathlib import Path

from pocketvision.core.errors import InputError
from pocketvision.datasets.convert import write_csv
from pocketvision.datasets.convert.common import check_split_names
from pocketvision.datasets.formats.contract import DataFormat, Layout, read_split
from pocketvision.datasets.readers.csv_tables import CsvRow, CsvTable, csv_files, read_table
from pocketvision.datasets.readers.stated import StatedBox, StatedImage, StatedObject, box_records
from pocketvision.datasets.readers.tree import FileTree
from pocketvision.datasets.readers.values import as_number
from pocketvision.datasets.records.annotations import DetectionRecords
from pocketvision.datasets.records.kinds import (
    AREA_UNUSABLE,
    BOX_NOT_FINITE,
    BOX_NOT_NUMBER,
    CLASS_UNKNOWN,
    FLAG_UNKNOWN,
)
from pocketvision.datasets.records.notes import Notes

_YES, _NO = ("1", "true", "1.0", "yes"), ("", "0", "false", "0.0", "no", "-1")


def find(tree: FileTree) -> Layout | None:
    """Splits are the values of a column ``split``, else the files: ``train.csv``, ``valid/_annotations.csv``.

    Otherwise the only split is ``all``.
    """
    files = csv_files(tree)
    file_of: dict[str, Path] = {}
    labels: set[str] = set()
    for file, default in files.items():
        for split, table in read_table(file, default, Notes(strict=False)).items():
            if split in file_of:
                raise InputError(
                    f"{file_of[split]} and {file} both have boxes of the split '{split}': remove one, or "
                    "give the path of the file instead of the folder."
                )
            file_of[split] = file
            labels |= {row.label for row in table.rows if row.label}
    if not file_of:
        return None
    check_split_names(file_of)
    ordered = sorted(labels)
    return Layout(tree, {split: (file, files[file], ordered) for split, file in file_of.items()})


def read(layout: Layout, split: str, notes: Notes) -> DetectionRecords:
    """Images are looked for beside the file, in the root, and in folders ``images`` and ``{split}`` of both.

    Class names are in the order of ``classes.txt`` if there is one, else sorted, from all splits.
    """
    file, default, labels = layout.splits[split]
    tree = layout.tree
    notes.read.add(str(file))
    table = read_table(file, default, notes).get(split)
    if table is None:
        raise InputError(f"{file} has no rows of the split '{split}' any more: restore it, or start again.")
    images: dict[str, StatedImage] = {}
    for row in table.rows:
        image = images.setdefault(row.image, StatedImage(row.image, file, f"line {row.line}"))
        image.is_relative = table.is_relative
        item = _object(row, table, notes)
        if item is not None:
            image.objects.append(item)
    folders = _folders(tree, file.parent, split)
    convention = "xywh" if table.is_xywh else "xyxy"
    stated = list(images.values())
    return box_records(stated, labels, split, tree, notes, folders=folders, convention=convention)


def read_csv_boxes(root: str | Path, split: str) -> DetectionRecords:
    """Read a split of CSV files; ``root`` is their folder or the file. See :func:`read`.

    Raises:
        InputError: a file is missing or a row is wrong; the sentence names it.
    """
    records: DetectionRecords = read_split(FORMAT, root, split)
    return records


def _folders(tree: FileTree, beside: Path, split: str) -> list[Path]:
    inner = ("", "images", split, f"images/{split}", f"{split}/images")
    places = [base / part for base in dict.fromkeys((beside, tree.root)) for part in inner]
    return [place for place in places if tree.listing(place).files]


def _object(row: CsvRow, table: CsvTable, notes: Notes) -> StatedObject | None:
    where, file = f"line {row.line}", table.file
    if not any(row.box) and not row.label:
        return None
    if not row.label:
        sentence = f"{file}, {where} has a box without a label: add its class, or leave the box empty too."
        notes.add(CLASS_UNKNOWN, file, sentence, where)
        return None
    box = _box(row, table, where, notes)
    if box is None:
        return None
    crowd, difficult = (_flag(text, where, file, notes) for text in (row.crowd, row.difficult))
    area = as_number(row.area) if row.area else None
    if row.area and (area is None or not math.isfinite(area)):
        sentence = f"{file}, {where} has the area {row.area[:40]!r} instead of a number: correct it."
        notes.add(AREA_UNUSABLE, file, sentence, where)
        area = None
    return StatedObject(row.label, where, box, crowd=crowd, difficult=difficult, area=area)


def _box(row: CsvRow, table: CsvTable, where: str, notes: Notes) -> StatedBox | None:
    values = [as_number(text) for text in row.box]
    for text, value in zip(row.box, values, strict=True):
        if value is None or not math.isfinite(value):
            sentence = f"{table.file}, {where} has {text[:40]!r} instead of a number: correct it."
            notes.add(BOX_NOT_NUMBER if value is None else BOX_NOT_FINITE, table.file, sentence, where)
            return None
    a, b, c, d = (value or 0.0 for value in values)
    return (a, b, a + c, b + d) if table.is_xywh else (a, b, c, d)


def _flag(text: str, where: str, file: Path, notes: Notes) -> bool:
    if text.lower() not in (*_YES, *_NO):
        sentence = f"{file}, {where} has {text[:40]!r} where 0 or 1 is expected: correct it."
        notes.add(FLAG_UNKNOWN, file, sentence, where)
    return text.lower() in _YES


FORMAT = DataFormat(
    name="csv",
    task="detection",
    title="boxes in CSV",
    signs="a .csv with columns image, xmin, ymin, xmax, ymax, label",
    find=find,
    read=read,
    write=write_csv.WRITER,
    data_module="CsvDataModule",
)
