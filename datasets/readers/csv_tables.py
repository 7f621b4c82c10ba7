"""CSV files of boxes: which files of a data set they are, their columns, and their rows as text."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pocketvision.core.errors import InputError
from pocketvision.datasets.readers.folders import is_folder, is_image, list_names, read_text
from pocketvision.datasets.records.splits import ALL, canonical, split_of

_IMAGE = ("image", "filename", "file_name", "path", "image_path", "img_path", "image_name", "file", "img")
_LABEL = ("class", "label", "class_name", "category", "name", "label_name")
_CORNERS = (("xmin", "x_min", "x1", "left"), ("ymin", "y_min", "y1", "top"), ("xmax", "x_max", "x2", "right"),
            ("ymax", "y_max", "y2", "bottom"))  # fmt: skip
_SIZES = (("x", "xmin", "x_min", "left"), ("y", "ymin", "y_min", "top"), ("w", "width"), ("h", "height"))


class CsvRow(NamedTuple):
    """A row's fields as text, empty where the file has no such column; ``box`` as the file has it."""

    line: int
    image: str
    box: tuple[str, str, str, str]
    label: str
    crowd: str = ""
    difficult: str = ""
    area: str = ""


@dataclass(frozen=True)
class CsvTable:
    """The rows of one split, whose boxes are corners or, if ``is_xywh``, corner and size."""

    file: Path
    is_xywh: bool
    rows: list[CsvRow]


class _Columns(NamedTuple):
    image: int
    box: tuple[int, ...]
    label: int
    is_xywh: bool = False
    split: int | None = None
    crowd: int | None = None
    difficult: int | None = None
    area: int | None = None


_HEADERLESS = _Columns(0, (1, 2, 3, 4), 5)


def csv_tables(root: Path) -> dict[str, CsvTable]:
    """Split -> table of all CSV files of boxes in ``root``, its ``annotations`` and its folders of splits.

    Raises:
        InputError: a file is broken, or two are of the same split.
    """
    tables: dict[str, CsvTable] = {}
    for file in _files(root):
        rows = _rows(file)
        columns = _columns(rows[0][1]) if rows else None
        if columns is None:
            continue
        in_root = file.parent == root or file == root
        for split, table in _split(file, columns, rows[columns is not _HEADERLESS :], in_root).items():
            if split in tables:
                raise InputError(
                    f"{tables[split].file} and {file} both have boxes of the split '{split}': remove one, or "
                    "give the path of the file instead of the folder."
                )
            tables[split] = table
    return tables


def _files(root: Path) -> list[Path]:
    if not is_folder(root):
        return [root] if root.suffix.lower() == ".csv" and root.is_file() else []
    folders = [
        root,
        root / "annotations",
        *(root / name for name in sorted(list_names(root)) if split_of(name)),
    ]
    return [
        folder / name
        for folder in folders
        for name in sorted(list_names(folder))
        if name.lower().endswith(".csv") and not name.startswith(".")
    ]


def _rows(file: Path) -> list[tuple[int, list[str]]]:
    """Line number and fields of the rows that are not blank."""
    text = read_text(file)
    delimiter = max(",;\t", key=text.partition("\n")[0].count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        return [(reader.line_num, [_plain(field) for field in row]) for row in reader if any(row)]
    except csv.Error as error:
        raise InputError(
            f"{file}, line {reader.line_num}, is no valid CSV ({error}): export it again."
        ) from None


def _plain(field: str) -> str:
    """Without the line breaks that a quoted field may have."""
    return field.strip().replace("\r", " ").replace("\n", " ")


def _columns(first: list[str]) -> _Columns | None:
    """Which columns hold what; None if this is no table of boxes."""
    at = {name.lower(): i for i, name in reversed(list(enumerate(first)))}
    corners, sizes = ([_one(at, names) for names in group] for group in (_CORNERS, _SIZES))
    image, label = _one(at, _IMAGE), _one(at, _LABEL)
    is_xywh = None in corners
    box = tuple(i for i in (sizes if is_xywh else corners) if i is not None)
    if image is not None and label is not None and len(box) == 4:
        crowd = _one(at, ("crowd", "iscrowd"))
        return _Columns(
            image, box, label, is_xywh, at.get("split"), crowd, at.get("difficult"), at.get("area")
        )
    sides = first[1:5]
    is_plain = len(first) == 6 and (not any(first[1:]) or all(_is_number(side) for side in sides))
    return _HEADERLESS if is_plain and is_image(Path(first[0].replace("\\", "/")).name) else None


def _one(at: dict[str, int], names: Iterable[str]) -> int | None:
    return next((at[name] for name in names if name in at), None)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _split(
    file: Path, columns: _Columns, rows: list[tuple[int, list[str]]], in_root: bool
) -> dict[str, CsvTable]:
    """The table of each split in a file."""
    folder = file.parent.name
    of_folder = canonical(folder) if not in_root and split_of(folder) else None
    default = split_of(file.stem) or of_folder or ALL
    tables: dict[str, CsvTable] = {}
    needed = 1 + max(columns.image, columns.label, *columns.box)
    for line, fields in rows:
        if len(fields) < needed:
            raise InputError(
                f"{file}, line {line}, has {len(fields)} fields instead of {needed}: complete it."
            )
        row = _row(line, fields, columns)
        if not row.image:
            raise InputError(f"{file}, line {line}, names no image: add its file name, or remove the line.")
        split = _field(fields, columns.split) or default
        tables.setdefault(canonical(split), CsvTable(file, columns.is_xywh, [])).rows.append(row)
    return tables


def _row(line: int, fields: list[str], columns: _Columns) -> CsvRow:
    x1, y1, x2, y2 = (fields[i] for i in columns.box)
    rest = (_field(fields, i) for i in (columns.crowd, columns.difficult, columns.area))
    return CsvRow(line, fields[columns.image], (x1, y1, x2, y2), fields[columns.label], *rest)


def _field(fields: list[str], column: int | None) -> str:
    return fields[column] if column is not None and column < len(fields) else ""
