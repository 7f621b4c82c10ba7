"""CSV files of boxes: which files of a data set they are, their columns, and their rows as text."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pocketvision.core.errors import InputError
from pocketvision.datasets.readers.text import guess_text, read_text
from pocketvision.datasets.readers.tree import FileTree, is_image
from pocketvision.datasets.readers.values import as_number
from pocketvision.datasets.records.kinds import ANNOTATION_INCOMPLETE
from pocketvision.datasets.records.notes import Notes
from pocketvision.datasets.records.splits import ALL, canonical, split_of

_IMAGE = ("image", "filename", "file_name", "path", "image_path", "img_path", "image_name", "file", "img",
          "image_id", "imageid", "img_name", "image_file", "filepath")  # fmt: skip
_LABEL = ("class", "label", "class_name", "category", "name", "label_name", "labelname", "category_name")
_CORNERS = (("xmin", "x_min", "x1", "left"), ("ymin", "y_min", "y1", "top"), ("xmax", "x_max", "x2", "right"),
            ("ymax", "y_max", "y2", "bottom"))  # fmt: skip
_SIZES = (("x", "xmin", "x_min", "left", "bbox_x"), ("y", "ymin", "y_min", "top", "bbox_y"),
          ("w", "width", "bbox_width"), ("h", "height", "bbox_height"))  # fmt: skip
_ONE_FIELD = ("bbox", "box")
_ONLY_CLASS = "object"
"""The class of tables that name none, such as the wheat heads' of Kaggle."""
_PEEK = 1 << 16


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
    is_relative: bool
    rows: list[CsvRow]


class _Columns(NamedTuple):
    """``box`` are four columns, or one that holds all four numbers; ``label`` None is a single class."""

    image: int
    box: tuple[int, ...]
    label: int | None
    is_xywh: bool = False
    has_header: bool = True
    is_relative: bool = False
    has_decimal_commas: bool = False
    split: int | None = None
    crowd: int | None = None
    difficult: int | None = None
    area: int | None = None


_RETINANET = _Columns(0, (1, 2, 3, 4), 5, has_header=False)
_MAKESENSE = _Columns(5, (1, 2, 3, 4), 0, is_xywh=True, has_header=False)


def csv_files(tree: FileTree) -> dict[Path, str]:
    """CSV files of boxes -> the split that their name or folder speaks of, ``all`` for none."""
    if tree.given is not None:
        folders, files = [], [tree.given] if tree.given.suffix.lower() in (".csv", ".tsv") else []
    else:
        folders = [tree.root, *tree.folders(tree.root)]
        files = [file for folder in folders for file in tree.files(folder, (".csv", ".tsv"))]
    found = {}
    for file in files:
        if _peek(file) is not None:
            of_folder = split_of(file.parent.name) if file.parent != tree.root else None
            found[file] = split_of(file.stem) or of_folder or ALL
    return found


def read_table(file: Path, default: str, notes: Notes) -> dict[str, CsvTable]:
    """Split -> table of one file; rows without a split column are of ``default``.

    Raises:
        InputError: it is no CSV.
    """
    delimiter, rows = _rows(file, notes)
    columns = _columns(rows[0][1], delimiter) if rows else None
    if columns is None:
        return {}
    tables: dict[str, CsvTable] = {}
    needed = 1 + max(columns.image, columns.label or 0, *columns.box)
    for line, fields in rows[columns.has_header :]:
        where = f"line {line}"
        if len(fields) < needed:
            sentence = f"{file}, {where}, has {len(fields)} fields instead of {needed}: complete it."
            notes.add(ANNOTATION_INCOMPLETE, file, sentence, where)
            continue
        row = _row(line, fields, columns)
        if not row.image:
            sentence = f"{file}, {where}, names no image: add its file name, or remove the line."
            notes.add(ANNOTATION_INCOMPLETE, file, sentence, where)
            continue
        split = canonical(_field(fields, columns.split) or default)
        table = tables.setdefault(split, CsvTable(file, columns.is_xywh, columns.is_relative, []))
        table.rows.append(row)
    return tables


def _peek(file: Path) -> _Columns | None:
    """The columns by the beginning of a file; None if it is no table of boxes."""
    try:
        with file.open("rb") as stream:
            head = stream.read(_PEEK)
    except OSError:
        return None
    text = next((text for _, text in guess_text(head)), None) or head.decode("utf-8", "replace")
    lines = text.lstrip("\ufeff").splitlines()
    first = next((line for line in lines if line.strip()), "")
    delimiter = _most(first)
    try:
        fields = next(csv.reader([first], delimiter=delimiter), [])
    except csv.Error:
        return None
    return _columns([_plain(field) for field in fields], delimiter)


def _most(first: str) -> str:
    return max(",;\t|", key=first.count)


def _rows(file: Path, notes: Notes) -> tuple[str, list[tuple[int, list[str]]]]:
    """The delimiter, and line number and fields of the rows that are not blank."""
    text = read_text(file, notes).lstrip("\ufeff")
    delimiter = _most(next((line for line in text.splitlines() if line.strip()), ""))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        rows = [(reader.line_num, [_plain(field) for field in row]) for row in reader if any(row)]
        return delimiter, rows
    except csv.Error as error:
        raise InputError(
            f"{file}, line {reader.line_num}, is no valid CSV ({error}): export it again."
        ) from None


def _plain(field: str) -> str:
    """Without the line breaks that a quoted field may have."""
    return field.strip().replace("\r", " ").replace("\n", " ")


def _columns(first: list[str], delimiter: str) -> _Columns | None:
    """Which columns hold what; None if this is no table of boxes."""
    at = {name.lower().strip(): i for i, name in reversed(list(enumerate(first)))}
    corners, sizes = ([_one(at, names) for names in group] for group in (_CORNERS, _SIZES))
    image, label, one_field = _one(at, _IMAGE), _one(at, _LABEL), _one(at, _ONE_FIELD)
    is_xywh = None in corners
    box = tuple(i for i in (sizes if is_xywh else corners) if i is not None)
    is_open_images = {"imageid", "labelname", "xmin", "isgroupof"} <= at.keys()
    if (image is not None and len(box) == 4 and label is not None) or (
        image is not None and one_field is not None
    ):
        return _Columns(
            image,
            box if one_field is None else (one_field,),
            label,
            is_xywh or one_field is not None,
            is_relative=is_open_images,
            has_decimal_commas=delimiter == ";",
            split=_one(at, ("split", "set", "subset")),
            crowd=_one(at, ("crowd", "iscrowd", "isgroupof")),
            difficult=at.get("difficult"),
            area=at.get("area"),
        )
    return _headerless(first)


def _headerless(first: list[str]) -> _Columns | None:
    """RetinaNet's path,x1,y1,x2,y2,class or makesense's class,x,y,width,height,image,width,height."""
    if len(first) == 6 and _names_image(first[0]) and (not any(first[1:]) or _are_numbers(first[1:5])):
        return _RETINANET
    if len(first) in (6, 8) and _names_image(first[5]) and _are_numbers(first[1:5]):
        return _MAKESENSE
    return None


def _names_image(field: str) -> bool:
    return is_image(Path(field.replace("\\", "/")).name)


def _are_numbers(fields: Iterable[str]) -> bool:
    return all(as_number(field) is not None for field in fields)


def _one(at: dict[str, int], names: Iterable[str]) -> int | None:
    return next((at[name] for name in names if name in at), None)


def _row(line: int, fields: list[str], columns: _Columns) -> CsvRow:
    sides = [fields[i] for i in columns.box]
    if len(sides) == 1:
        sides = _split_box(sides[0])
    if columns.has_decimal_commas:
        sides = [side.replace(",", ".") for side in sides]
    rest = (_field(fields, i) for i in (columns.crowd, columns.difficult, columns.area))
    label = (_ONLY_CLASS if any(sides) else "") if columns.label is None else fields[columns.label]
    return CsvRow(line, fields[columns.image], (sides[0], sides[1], sides[2], sides[3]), label, *rest)


def _split_box(text: str) -> list[str]:
    """The four numbers of ``[x, y, w, h]`` or ``x y w h``."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        values = text.strip("[]() ").replace(",", " ").split()
    sides = [str(value) for value in values] if isinstance(values, list) else []
    return sides if len(sides) == 4 else ["", "", "", ""] if not text else [text, "", "", ""]


def _field(fields: list[str], column: int | None) -> str:
    return fields[column] if column is not None and column < len(fields) else ""
