"""Boxes in CSV files, line by line: columns by their header, or RetinaNet's path,x1,y1,x2,y2,class."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from pocketvision.datasets.readers.folders import is_file
from pocketvision.datasets.records.splits import ALL, canonical, split_of
from pocketvision.doctor.findings import Findings
from pocketvision.doctor.raw.layouts import csv_files
from pocketvision.doctor.raw.stated import RawDetection, RawImage, StatedValues, parse_number

_IMAGE = ("image", "filename", "file_name", "path", "image_path", "image_id", "img", "file", "image_name")
_CORNERS = (("xmin", "x1", "x_min", "left"), ("ymin", "y1", "y_min", "top"),
            ("xmax", "x2", "x_max", "right"), ("ymax", "y2", "y_max", "bottom"))  # fmt: skip
_SIZES = (("x", *_CORNERS[0]), ("y", *_CORNERS[1]), ("w", "width"), ("h", "height"))
_LABEL = ("class", "label", "class_name", "name", "category")
_SPLIT = ("split", "set", "subset")


@dataclass(frozen=True)
class Columns:
    """Where a row has what; ``box`` are four columns and ``has_corners`` says what they mean.

    ``names`` are the fields of the header, empty where there is none.
    """

    image: int
    box: tuple[int, ...]
    label: int
    split: int | None
    has_corners: bool
    names: tuple[str, ...] = ()

    @property
    def has_header(self) -> bool:
        """Whether the first row is no box."""
        return bool(self.names)

    @property
    def convention(self) -> str:
        """What the four numbers mean, a key of ``CONVENTIONS``."""
        return "xyxy" if self.has_corners else "xywh"


def read_raw_csv(root: Path, findings: Findings) -> RawDetection:
    """All boxes of the CSV files of a folder; a box's ``source`` is its row."""
    data = RawDetection(root, "csv", "xyxy", folders=set())
    known: dict[Path, int] = {}
    labels: dict[str, int] = {}
    for file in csv_files(root):
        rows = _rows(file, findings)
        columns = find_columns(rows[0][1]) if rows else None
        if columns is None:
            findings.add(
                "annotation_broken",
                file,
                f"{file} has no columns of boxes: its first line must name image, xmin, ymin, xmax, ymax and "
                "class.",
                "line 1",
            )
            continue
        data.sources[file] = columns
        if len(data.sources) == 1:
            data.convention = columns.convention
        for line, row in rows[1 if columns.has_header else 0 :]:
            _read_row(row, line, file, columns, data, known, labels, findings)
    data.class_names = list(labels)
    data.folders = {image.path.parent for image in data.images if image.exists}
    return data


def find_columns(first: list[str]) -> Columns | None:
    """Columns by the names in a header, or RetinaNet's order where the first row is no header."""
    names = {name.strip().lower(): i for i, name in enumerate(first)}

    def find(choices: tuple[str, ...]) -> int | None:
        return next((names[name] for name in choices if name in names), None)

    image, label, split = find(_IMAGE), find(_LABEL), find(_SPLIT)
    for sides, has_corners in ((_CORNERS, True), (_SIZES, False)):
        box = tuple(i for side in sides if (i := find(side)) is not None)
        if image is not None and label is not None and len(box) == 4:
            return Columns(image, box, label, split, has_corners, tuple(first))
    is_retinanet = len(first) == 6 and (not any(first[1:]) or parse_number(first[1].strip()) is not None)
    return Columns(0, (1, 2, 3, 4), 5, None, has_corners=True) if is_retinanet else None


def _rows(file: Path, findings: Findings) -> list[tuple[int, list[str]]]:
    """(line, fields) of the lines that are not empty."""
    text = file.read_bytes().decode("utf-8-sig", errors="replace").replace("\0", "\ufffd")
    lines = text.split("\n")
    reader = csv.reader(lines, delimiter=max(",;\t", key=lines[0].count))
    rows = []
    try:
        rows += [(reader.line_num, row) for row in reader if row]
    except csv.Error as error:
        findings.add(
            "annotation_broken",
            file,
            f"{file}, line {reader.line_num} is no CSV ({error}): correct it.",
            f"line {reader.line_num}",
        )
    return rows


def _find(name: str, split: str, file: Path, root: Path) -> Path:
    """The image, or where it was expected."""
    inner = ("", "images", split, f"images/{split}", f"{split}/images")
    places = [base / part / name for base in (file.parent, root) for part in inner]
    return next((place for place in places if is_file(place)), places[0])


def _read_row(
    row: list[str],
    line: int,
    file: Path,
    columns: Columns,
    data: RawDetection,
    known: dict[Path, int],
    labels: dict[str, int],
    findings: Findings,
) -> None:
    where = f"line {line}"
    fields = dict(enumerate(value.strip() for value in row))
    name = fields.get(columns.image, "")
    if not name or "\ufffd" in name:
        findings.add(
            "annotation_incomplete", file, f"{file}, {where} names no image: complete or remove it.", where
        )
        return
    path = _image(name, fields, file, columns, data, known)
    texts = [fields.get(i, "") for i in columns.box]
    label = fields.get(columns.label, "")
    if not any((*texts, label)):
        return  # a background image
    values = _values(texts)
    if values is None:
        findings.add(
            "box_not_number",
            file,
            f"{file}, {where} has {', '.join(map(repr, texts))} instead of four numbers: correct it.",
            where,
            path,
        )
    elif columns.convention != data.convention:
        values = _as_first_file(values, columns)
    if not label:
        findings.add("class_unknown", file, f"{file}, {where} has no class: add it.", where, path)
    number = labels.setdefault(label, len(labels)) if label else -1
    data.boxes.add(known[path], values, number, file, where, row)


def _image(
    name: str,
    fields: dict[int, str],
    file: Path,
    columns: Columns,
    data: RawDetection,
    known: dict[Path, int],
) -> Path:
    """The path of a row's image, which is added if it is new."""
    stated = fields.get(columns.split, "") if columns.split is not None else ""
    split = canonical(stated) if stated else split_of(file.stem) or split_of(file.parent.name) or ALL
    path = _find(name.replace("\\", "/"), split, file, data.root)
    if path not in known:
        known[path] = len(data.images)
        data.images.append(RawImage(name, path, is_file(path), (), file))
    image = data.images[known[path]]
    image.splits = tuple(dict.fromkeys((*image.splits, split)))
    return path


def _as_first_file(values: StatedValues, columns: Columns) -> StatedValues:
    """The numbers as the first file of the folder would state them."""
    a, b, c, d = values
    return (a, b, c - a, d - b) if columns.has_corners else (a, b, a + c, b + d)


def _values(texts: list[str]) -> StatedValues | None:
    a, b, c, d = (parse_number(text) for text in texts)
    return None if a is None or b is None or c is None or d is None else (a, b, c, d)
