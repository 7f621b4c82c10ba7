"""Boxes in a CSV file: a row a box, an image without boxes in a row without box.

With a header the columns are found by their names; without one they are those of RetinaNet's readers
(https://github.com/fizyr/keras-retinanet#csv-datasets): path, x1, y1, x2, y2, class. Pixels count from 0.
"""

from __future__ import annotations

import math
from pathlib import Path

from pocketvision.core.errors import InputError
from pocketvision.datasets.images.read import read_size
from pocketvision.datasets.readers.assemble import FoundBoxes, assemble
from pocketvision.datasets.readers.class_list import ordered_names
from pocketvision.datasets.readers.csv_tables import CsvRow, CsvTable, csv_tables
from pocketvision.datasets.readers.folders import is_file, missing_split
from pocketvision.datasets.records.annotations import DetectionRecords
from pocketvision.datasets.records.splits import find_split

CsvBox = tuple[float, float, float, float]


def read_csv_boxes(root: str | Path, split: str) -> DetectionRecords:
    """Read a split of CSV files; ``root`` is their folder or the file.

    Splits are the values of a column ``split``, else the files (``train.csv``, ``valid/_annotations.csv``),
    else the only split is ``all``. Images are looked for beside the file, in ``root``, and in folders
    ``images`` and ``{split}`` of both. Class names are in the order of ``classes.txt`` if there is one,
    else sorted, from all splits. An image id is the rank of the image in its split, from 1.

    Raises:
        InputError: a file is missing or a row is wrong; the sentence names it.
    """
    place = Path(root).expanduser()
    tables = csv_tables(place)
    if not tables:
        raise InputError(
            f"{place} has no CSV file of boxes: its header must name columns such as image, xmin, ymin, "
            "xmax, ymax and label."
        )
    name = find_split(tables, split)
    if name is None:
        raise missing_split(place, split, tables)
    folder = place if place.is_dir() else place.parent
    names = ordered_names(folder, (row.label for table in tables.values() for row in table.rows if row.label))
    found, where, images = _boxes(tables[name], names, folder, name)
    return assemble(
        found,
        where.__getitem__,
        root=folder,
        image_paths=[str(image) for image in images],
        image_ids=list(range(1, len(images) + 1)),
        sizes=list(images.values()),
        class_names=names,
        category_ids=tuple(range(1, len(names) + 1)),
    )


def _boxes(
    table: CsvTable, names: tuple[str, ...], root: Path, split: str
) -> tuple[FoundBoxes, list[str], dict[Path, tuple[int, int]]]:
    """The boxes, where each of them is written, and the images with their sizes."""
    found, where = FoundBoxes(), []
    owners: dict[str, int] = {}
    images: dict[Path, tuple[int, int]] = {}
    index = {name: i for i, name in enumerate(names)}
    fractions = True
    for row in table.rows:
        place = f"{table.file}, line {row.line}"
        if row.image not in owners:
            owners[row.image] = len(owners)
            path = _find(row.image, table.file.parent, root, split, place)
            if path in images:
                raise InputError(f"{place} names {path}, as another row does in other words: use one name.")
            images[path] = read_size(str(path))
        if not any(row.box) and not row.label:
            continue
        box = _box(row, table.is_xywh, place)
        fractions &= max(box) <= 1
        found.owners.append(owners[row.image])
        found.boxes.append(box)
        found.labels.append(index[row.label])
        found.crowd.append(_flag(row.crowd, place))
        found.difficult.append(_flag(row.difficult, place))
        found.areas.append(_number(row.area, "area", place) if row.area else None)
        where.append(place)
    if where and fractions:
        raise InputError(
            f"{table.file} has only coordinates up to 1: multiply fractions by the image's sides."
        )
    return found, where, images


def _find(image: str, beside: Path, root: Path, split: str, place: str) -> Path:
    plain = Path(image) if is_file(beside / image) else Path(image.replace("\\", "/"))
    inner = ("", "images", split, f"images/{split}", f"{split}/images")
    path = next(
        (base / part / plain for base in (beside, root) for part in inner if is_file(base / part / plain)),
        None,
    )
    if path is None:
        raise InputError(
            f"{place} names {image}, which is not in {beside}: add the image, or remove its rows."
        )
    return path


def _box(row: CsvRow, is_xywh: bool, place: str) -> CsvBox:
    if not row.label:
        raise InputError(f"{place} has a box without a label: add its class, or leave the box empty too.")
    x1, y1, x2, y2 = (
        _number(text, column, place) for text, column in zip(row.box, ("x", "y", "x2", "y2"), strict=True)
    )
    return (x1, y1, x1 + x2, y1 + y2) if is_xywh else (x1, y1, x2, y2)


def _number(text: str, column: str, place: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{place} has {text[:40]!r} instead of a number ({column}): correct it.")
    return value


def _flag(text: str, place: str) -> bool:
    if text.lower() not in ("", "0", "1", "false", "true", "0.0", "1.0"):
        raise InputError(f"{place} has {text[:40]!r} where 0 or 1 is expected: correct it.")
    return text.lower() in ("1", "true", "1.0")
