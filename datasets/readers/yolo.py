"""YOLO: a text file an image with ``class x y width height`` a box, as fractions of the image's sides.

Format: https://docs.ultralytics.com/datasets/detect; x and y are the box's center. Lines with more
columns are polygons of segmentation data, and stand for their boxes.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np

from pocketvision.core.errors import InputError
from pocketvision.datasets.images.read import read_size
from pocketvision.datasets.readers.assemble import FoundBoxes, assemble
from pocketvision.datasets.readers.counted import Counted
from pocketvision.datasets.readers.folders import empty_split, is_file, missing_split, read_text
from pocketvision.datasets.readers.yolo_labels import label_files
from pocketvision.datasets.readers.yolo_layouts import YoloLayout, find_yolo
from pocketvision.datasets.records.annotations import DetectionRecords
from pocketvision.datasets.records.splits import find_split

_MAX_FRACTION = 2.0
"""Fractions slightly above 1 are rounding, and clipped; numbers beyond this are pixels."""

YoloBox = tuple[float, float, float, float]


def read_yolo(root: str | Path, split: str) -> DetectionRecords:
    """Read a YOLO split; ``root`` is the folder or its data.yaml.

    Splits are those of the yaml, else ``images/{split}`` or ``{split}/images`` beside ``labels``, else
    ``{split}.txt``, else the only split is ``all``. An image without label file, or with an empty
    one, is a background image. An image id is the rank of the image in its split, from 1.

    Raises:
        InputError: a file is missing or a line is wrong; the sentence names it.
    """
    layout, name = _find(Path(root).expanduser(), split)
    images = layout.images(name)
    if not images:
        raise empty_split(layout.sources[name][0], split)
    done = Counted()
    files = label_files(images, layout.folder, done)
    if not any(is_file(file) for file in files):
        raise InputError(
            f"None of the {len(images)} images has labels: put those of {images[0]} into {files[0]}."
        )
    sizes = [read_size(str(image)) for image in images]
    found, where = _boxes(files, sizes, layout, done)
    records = assemble(
        found,
        where.__getitem__,
        root=layout.folder,
        image_paths=[str(image) for image in images],
        image_ids=list(range(1, len(images) + 1)),
        sizes=sizes,
        class_names=layout.class_names,
        category_ids=tuple(-1 if name is None else i for i, name in enumerate(layout.class_names)),
    )
    return replace(records, notes=(*done.lines(), *records.notes))


def _find(place: Path, split: str) -> tuple[YoloLayout, str]:
    """The layout of a data set, and its own name of a split."""
    layout = find_yolo(place)
    if layout is None:
        raise InputError(f"{place} is no YOLO data set: it needs a data.yaml, or folders images and labels.")
    name = find_split(layout.sources, split)
    if name is None and split in layout.broken:
        raise InputError(layout.broken[split])
    if name is None:
        raise missing_split(layout.file, split, layout.sources)
    return layout, name


def _boxes(
    files: list[Path], sizes: list[tuple[int, int]], layout: YoloLayout, done: Counted
) -> tuple[FoundBoxes, list[str]]:
    """The boxes of all images, and where each of them is written."""
    found, where = FoundBoxes(), []
    for owner, (file, (height, width)) in enumerate(zip(files, sizes, strict=True)):
        text = read_text(file) if is_file(file) else ""
        for number, line in enumerate(text.split("\n"), start=1):
            if not line.strip():
                continue
            place = f"{file}, line {number}"
            label, (x1, y1, x2, y2) = _parse(line.split(), place, layout, done)
            found.owners.append(owner)
            found.boxes.append((x1 * width, y1 * height, x2 * width, y2 * height))
            found.labels.append(label)
            where.append(place)
    count = len(where)
    found.crowd, found.difficult, found.areas = [False] * count, [False] * count, [None] * count
    return found, where


def _parse(fields: list[str], place: str, layout: YoloLayout, done: Counted) -> tuple[int, YoloBox]:
    try:
        label, *values = [float(field) for field in fields]
    except ValueError:
        raise InputError(f"{place} has '{' '.join(fields)[:80]}' instead of numbers: correct it.") from None
    if layout.has_keypoints:
        values = values[:4]
    if len(values) == 5 and 0 <= values[4] <= 1:  # of a prediction
        values = values[:4]
        done.add("boxes have a score behind them, which is left out", place)
    is_polygon = len(values) >= 6 and len(values) % 2 == 0
    if not is_polygon and len(values) != 4:
        raise InputError(
            f"{place} has {len(fields)} columns: write class, x, y, width and height, or class and a polygon."
        )
    if not all(math.isfinite(value) and abs(value) <= _MAX_FRACTION for value in values):
        raise InputError(
            f"{place} has numbers that are no fractions of the image: divide pixels by its sides."
        )
    names = layout.class_names
    if not (label.is_integer() and 0 <= label < len(names)) or names[int(label)] is None:
        raise InputError(
            f"{place} has class {fields[0]}, but {layout.file} names classes 0 to {len(names) - 1}: correct "
            "it, or add the name."
        )
    return int(label), _polygon_box(values) if is_polygon else _center_box(values)


def _center_box(values: list[float]) -> YoloBox:
    x, y, width, height = values
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def _polygon_box(values: list[float]) -> YoloBox:
    points = np.array(values).reshape(-1, 2)
    (x1, y1), (x2, y2) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    return x1, y1, x2, y2
