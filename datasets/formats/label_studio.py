"""Label Studio's own JSON (and JSON-MIN): one file, shapes in percent of the sides, brushed pixels.

Format: https://labelstud.io/guide/export; for COCO, VOC and YOLO exports see these formats.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np

from pocketvision.core.errors import InputError
from pocketvision.datasets.coco.entries import stated_size
from pocketvision.datasets.coco.json_file import load_json
from pocketvision.datasets.formats.contract import DataFormat, Layout
from pocketvision.datasets.formats.objects import Objects, objects_of_file, readers
from pocketvision.datasets.readers.brush import decode_brush
from pocketvision.datasets.readers.one_file import files_of_splits
from pocketvision.datasets.readers.outlines import add_object, ellipse, mask_at, numbers, pairs
from pocketvision.datasets.readers.stated import Polygon, StatedBox, StatedImage, StatedMask
from pocketvision.datasets.readers.tree import FileTree
from pocketvision.datasets.records.kinds import PREDICTION_OPEN
from pocketvision.datasets.records.notes import Notes

_LABELS = ("rectanglelabels", "polygonlabels", "ellipselabels", "brushlabels", "keypointlabels", "labels")
_UPLOADED = re.compile(r"^[0-9a-f]{8}-(?=.)")
_IMAGE_KEYS = ("image", "img", "photo", "picture", "ocr")


def find(tree: FileTree) -> Layout | None:
    """A split is a file."""
    files = files_of_splits(tree, (".json",), _is_own)
    return Layout(tree, files) if files else None


def _is_own(start: bytes) -> bool:
    has_lists = b'"annotations"' in start or b'"predictions"' in start
    is_full = has_lists and (b'"from_name"' in start or b'"completed_by"' in start)
    is_short = re.search(rb'"(rectangle|polygon|ellipse|brush)labels"\s*:\s*\[', start) is not None
    return start.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"[") and (is_full or is_short)


def _objects(layout: Layout, split: str, notes: Notes) -> Objects:
    return objects_of_file(layout, split, notes, lambda file, told: _images(file, layout.tree, told))


def _images(file: Path, tree: FileTree, notes: Notes) -> list[StatedImage]:
    """Cancelled annotations are left out, and so are tasks of which there are only predictions."""
    tasks = load_json(file)
    present = {path.name for path in tree.images_below(tree.root)}
    images = []
    num_open = 0
    for number, task in enumerate(tasks if isinstance(tasks, list) else [], start=1):
        source = _source(task) if isinstance(task, dict) else None
        if source is None:
            continue
        if _is_open(task):
            num_open += 1
            where = f"task {task.get('id', number)}"
            sentence = f"{file}, {where} has predictions that nobody has confirmed, and is left out."
            notes.add(PREDICTION_OPEN, file, sentence, where)
            continue
        image = StatedImage(_name(source, present), file, f"task {task.get('id', number)}", is_relative=True)
        for i, (shape, label) in enumerate(_results(task), start=1):
            where = f"task {task.get('id', number)}, region {i}"
            add_object(image, where, label, _shape(shape), notes, kind="point or other shape")
        for item in image.objects:
            if item.mask is not None:
                item.box = _shares(item.mask)
        images.append(image)
    if num_open and not images:
        raise InputError(
            f"{file} has predictions that nobody has confirmed: import it into Label Studio, submit the "
            "tasks, and export the project as JSON."
        )
    if not images:
        raise InputError(f"{file} names no image: export the project again as JSON.")
    return images


def _is_open(task: dict[str, Any]) -> bool:
    """Whether a model has said something of a task, and no person has."""
    return bool(task.get("predictions")) and not task.get("annotations")


def _source(task: dict[str, Any]) -> str | None:
    data = task.get("data") if isinstance(task.get("data"), dict) else task
    assert isinstance(data, dict)
    found = [data.get(key) for key in _IMAGE_KEYS]
    return next((value for value in found if isinstance(value, str) and value), None)


def _name(source: str, present: set[str]) -> str:
    """The file that an address means; uploaded ones have a code before their name, which people remove."""
    try:
        address = urlsplit(source)
        local = parse_qs(address.query).get("d", [""])[0]
        name = unquote(local or address.path or source)
    except ValueError:  # brackets that hold no IPv6 address, or too many fields
        name = source
    last = name.replace("\\", "/").rpartition("/")[2]
    plain = _UPLOADED.sub("", last)
    return plain if last not in present and plain in present else name


def _results(task: dict[str, Any]) -> list[tuple[dict[str, Any], Any]]:
    """Shapes and labels, of all annotations that were not cancelled, or of JSON-MIN's lists."""
    found: list[tuple[dict[str, Any], Any]] = []
    annotations = task.get("annotations")
    if isinstance(annotations, list):
        kept = [row for row in annotations if isinstance(row, dict) and not row.get("was_cancelled")]
        lists = [row.get("result") for row in kept]
        results = [r for own in lists if isinstance(own, list) for r in own if isinstance(r, dict)]
        values = [{**_size_of(r), **r["value"]} for r in results if isinstance(r.get("value"), dict)]
    else:
        values = [r for own in task.values() if isinstance(own, list) for r in own]
    for value in values:
        if not isinstance(value, dict):
            continue
        labels = next((value[key] for key in _LABELS if isinstance(value.get(key), list)), None)
        if labels is not None or "points" in value or "width" in value:
            found.append((value, labels[0] if labels else None))
    return found


def _size_of(result: dict[str, Any]) -> dict[str, Any]:
    return {key: result.get(key) for key in ("original_width", "original_height")}


def _shape(value: dict[str, Any]) -> StatedBox | StatedMask | Polygon | None:
    """In shares of the image's sides, but for what was brushed."""
    if "rle" in value:
        size = stated_size({"height": value.get("original_height"), "width": value.get("original_width")})
        pixels = None if size is None else decode_brush(value["rle"], size)
        return None if pixels is None else mask_at(0, 0, pixels) if pixels.any() else []
    if "points" in value:
        points = pairs(value["points"])
        return None if points is None else [(x / 100, y / 100) for x, y in points]
    if "radiusX" in value:
        sides = numbers([value.get(key) for key in ("x", "y", "radiusX", "radiusY")])
        return None if sides is None else ellipse(*(side / 100 for side in sides))
    if not {"x", "y", "width", "height"} <= value.keys():
        return []
    sides = numbers([value.get(key) for key in ("x", "y", "width", "height")])
    turned = numbers([value.get("rotation") or 0])
    if sides is None or turned is None:
        return None
    if turned[0] % 360:
        return _turned(sides, math.radians(turned[0]), value)
    x, y, width, height = (side / 100 for side in sides)
    return x, y, x + width, y + height


def _shares(mask: StatedMask) -> StatedBox:
    """The box around pixels of a whole picture."""
    height, width = mask.pixels.shape
    rows, columns = np.flatnonzero(mask.pixels.any(axis=1)), np.flatnonzero(mask.pixels.any(axis=0))
    box = columns[0] / width, rows[0] / height, (columns[-1] + 1) / width, (rows[-1] + 1) / height
    return float(box[0]), float(box[1]), float(box[2]), float(box[3])


def _turned(sides: list[float], angle: float, value: dict[str, Any]) -> Polygon | None:
    """Corners of a rectangle that is turned around its top left corner, in pixels of the original."""
    size = numbers([value.get("original_width") or 100, value.get("original_height") or 100])
    if size is None or min(size) <= 0:
        return None
    left, top, width, height = (side * size[i % 2] / 100 for i, side in enumerate(sides))
    cosine, sine = math.cos(angle), math.sin(angle)
    corners = [(0.0, 0.0), (width, 0.0), (width, height), (0.0, height)]
    return [
        ((left + a * cosine - b * sine) / size[0], (top + a * sine + b * cosine) / size[1])
        for a, b in corners
    ]


_READ_BOXES, _READ_MASKS = readers(_objects)
_SIGNS = "a .json list of tasks with 'annotations' and 'from_name'"
FORMAT = DataFormat("label_studio", "detection", "Label Studio boxes", _SIGNS, find, _READ_BOXES)
MASKS = DataFormat(
    "label_studio_masks", "segmentation", "Label Studio polygons", _SIGNS, find, _READ_MASKS, weak=True
)
