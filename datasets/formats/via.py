"""VGG Image Annotator 2: one JSON file (annotations, or the project) or one CSV file, boxes in pixels.

Format: https://www.robots.ox.ac.uk/~vgg/software/via; a region has ``shape_attributes`` and
``region_attributes``, one of which is the class.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from pocketvision.core.errors import InputError
from pocketvision.datasets.coco.json_file import load_json
from pocketvision.datasets.formats.contract import DataFormat, Layout
from pocketvision.datasets.formats.objects import Objects, objects_of_file, readers
from pocketvision.datasets.readers.one_file import files_of_splits
from pocketvision.datasets.readers.outlines import add_object, ellipse, numbers
from pocketvision.datasets.readers.stated import Polygon, StatedBox, StatedImage
from pocketvision.datasets.readers.text import read_text
from pocketvision.datasets.readers.tree import FileTree
from pocketvision.datasets.records.notes import Notes

_ONLY_CLASS = "object"


class _Region(NamedTuple):
    """``where`` is empty for an image without regions."""

    image: str
    where: str
    shape: dict[str, Any]
    attributes: dict[str, Any]


def find(tree: FileTree) -> Layout | None:
    """A split is a file; of JSON and CSV of the same split one has to be named."""
    files = files_of_splits(tree, (".json", ".csv"), _is_own)
    return Layout(tree, files) if files else None


def _is_own(start: bytes) -> bool:
    return b"shape_attributes" in start and b"region" in start


def _objects(layout: Layout, split: str, notes: Notes) -> Objects:
    return objects_of_file(layout, split, notes, _images)


def _images(file: Path, notes: Notes) -> list[StatedImage]:
    """The class is the attribute that most regions have; without attributes all are ``object``."""
    regions = _from_csv(file, notes) if file.suffix.lower() == ".csv" else _from_json(file)
    attributes = Counter(key for region in regions for key, value in region.attributes.items() if value)
    best = attributes.most_common(1)[0][0] if attributes else None
    images: dict[str, StatedImage] = {}
    for region in regions:
        image = images.setdefault(region.image, StatedImage(region.image, file, region.image))
        if region.where:
            label = _ONLY_CLASS if best is None else _label(region.attributes.get(best))
            kind = str(region.shape.get("name") or "shape")
            add_object(image, region.where, label, _shape(region.shape, kind), notes, kind=kind)
    return list(images.values())


def _from_json(file: Path) -> list[_Region]:
    content = load_json(file)
    if isinstance(content, dict) and isinstance(content.get("_via_img_metadata"), dict):
        content = content["_via_img_metadata"]
    rows = list(content.values()) if isinstance(content, dict) else []
    found: list[_Region] = []
    for row in rows:
        name = row.get("filename") if isinstance(row, dict) else None
        if not isinstance(name, str):
            continue
        regions = row.get("regions")
        own = list(regions.values()) if isinstance(regions, dict) else regions
        found.append(_Region(name, "", {}, {}))
        for number, region in enumerate(own if isinstance(own, list) else []):
            parts = region if isinstance(region, dict) else {}
            where = f"region {number} of {name}"
            shape, attributes = (_dict(parts.get(f"{part}_attributes")) for part in ("shape", "region"))
            found.append(_Region(name, where, shape, attributes))
    if not found:
        raise InputError(f"{file} names no image: export the annotations again as JSON.")
    return found


def _from_csv(file: Path, notes: Notes) -> list[_Region]:
    reader = csv.DictReader(io.StringIO(read_text(file, notes).lstrip("\ufeff"), newline=""))
    found = []
    try:
        for row in reader:
            row = {(key or "").lstrip("#").strip(): value for key, value in row.items()}
            name, count = str(row.get("filename") or ""), str(row.get("region_count") or "")
            where = "" if count.strip() == "0" else f"line {reader.line_num}"
            if name:
                shape = _dict(row.get("region_shape_attributes"))
                found.append(_Region(name, where, shape, _dict(row.get("region_attributes"))))
    except csv.Error as error:
        raise InputError(
            f"{file}, line {reader.line_num}, is no valid CSV ({error}): export it again."
        ) from None
    if not found:
        raise InputError(f"{file} names no image: export the annotations again as CSV.")
    return found


def _dict(value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return {}
    return value if isinstance(value, dict) else {}


def _label(value: Any) -> Any:
    """The value of an attribute; of check boxes the one that is checked."""
    if isinstance(value, dict):
        checked = [name for name, is_set in value.items() if is_set]
        return checked[0] if len(checked) == 1 else None
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _shape(shape: dict[str, Any], kind: str) -> StatedBox | Polygon | None:
    if kind == "rect":
        sides = numbers([shape.get(key) for key in ("x", "y", "width", "height")])
        return None if sides is None else (sides[0], sides[1], sides[0] + sides[2], sides[1] + sides[3])
    if kind in ("circle", "ellipse"):
        keys = ("cx", "cy", "r", "r") if kind == "circle" else ("cx", "cy", "rx", "ry")
        sides = numbers([shape.get(key) for key in keys])
        angle = numbers([shape.get("theta") or 0]) or [0.0]
        return None if sides is None else ellipse(sides[0], sides[1], sides[2], sides[3], angle[0])
    if kind in ("polygon", "polyline"):
        all_x, all_y = (shape.get(f"all_points_{axis}") for axis in "xy")
        if not isinstance(all_x, list) or not isinstance(all_y, list) or len(all_x) != len(all_y):
            return None
        x, y = numbers(all_x), numbers(all_y)
        return None if x is None or y is None else list(zip(x, y, strict=True))
    return []


_READ_BOXES, _READ_MASKS = readers(_objects)
_SIGNS = "a .json or .csv with 'shape_attributes'"
FORMAT = DataFormat("via", "detection", "VIA regions as boxes", _SIGNS, find, _READ_BOXES)
MASKS = DataFormat("via_masks", "segmentation", "VIA regions as masks", _SIGNS, find, _READ_MASKS, weak=True)
