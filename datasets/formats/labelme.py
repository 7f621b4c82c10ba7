"""LabelMe (and AnyLabeling, X-AnyLabeling): a JSON file an image, with polygons and boxes in pixels.

Format: https://github.com/wkentaro/labelme; ``shapes`` have ``label``, ``points`` and ``shape_type``.
"""

from __future__ import annotations

import base64
import math
from pathlib import Path
from typing import Any

from pocketvision.core.errors import InputError
from pocketvision.core.structures import Size
from pocketvision.datasets.coco.entries import stated_size
from pocketvision.datasets.coco.json_file import load_json
from pocketvision.datasets.formats.contract import DataFormat, Layout
from pocketvision.datasets.formats.objects import Objects, readers
from pocketvision.datasets.images.read import decode_image
from pocketvision.datasets.readers.one_file import files_of_images
from pocketvision.datasets.readers.outlines import add_object, ellipse, mask_at, pairs
from pocketvision.datasets.readers.stated import Polygon, StatedBox, StatedImage, StatedMask
from pocketvision.datasets.readers.tree import FileTree
from pocketvision.datasets.records.kinds import ANNOTATION_BROKEN
from pocketvision.datasets.records.notes import Notes

_AREAS = ("polygon", "rotation", "oriented_rectangle", "", "None")


def find(tree: FileTree) -> Layout | None:
    """Folders of JSON files with ``shapes``; splits are those that the folders' names speak of."""
    splits = files_of_images(tree, ".json", _is_own)
    every = [file for files in splits.values() for file in files]
    return Layout(tree, {split: (files, every) for split, files in splits.items()}) if splits else None


def _is_own(start: bytes) -> bool:
    return b'"shapes"' in start and (b'"imagePath"' in start or b'"shape_type"' in start)


def _objects(layout: Layout, split: str, notes: Notes) -> Objects:
    """The image of a file is the one that it names, else the one of its own name."""
    own, every = layout.splits[split]
    members, elsewhere = set(own), Notes(strict=False)
    parsed = {file: _parse(file, notes if file in members else elsewhere) for file in every}
    notes.read |= {str(file) for file in own}
    labels = {item.label for image in parsed.values() if image is not None for item in image.objects}
    images = [image for file in own if (image := parsed[file]) is not None]
    return Objects(images, sorted(labels), list(dict.fromkeys(file.parent for file in own)))


def _parse(file: Path, notes: Notes) -> StatedImage | None:
    try:
        content = load_json(file)
        shapes = content.get("shapes") if isinstance(content, dict) else None
        if not isinstance(shapes, list):
            raise InputError(f"{file} has no list 'shapes': export it again as LabelMe JSON.")
    except InputError as error:
        notes.add(ANNOTATION_BROKEN, file, str(error))
        return None
    image = StatedImage(_name(content, file), file, size=_size(content))
    for number, shape in enumerate(shapes, start=1):
        row = shape if isinstance(shape, dict) else {}
        kind = str(row.get("shape_type") or "polygon")
        add_object(image, f"shape {number}", row.get("label"), _shape(row, kind), notes, kind=kind)
    return image


def _name(content: dict[str, Any], file: Path) -> str:
    stated = content.get("imagePath")
    return stated if isinstance(stated, str) and stated.strip() else f"{file.stem}.jpg"


def _size(content: dict[str, Any]) -> Size | None:
    return stated_size({"height": content.get("imageHeight"), "width": content.get("imageWidth")})


def _shape(row: dict[str, Any], kind: str) -> StatedBox | StatedMask | Polygon | None:
    points = pairs(row.get("points"))
    if points is None or not points:
        return None
    x, y = zip(*points, strict=True)
    if kind == "mask":
        return _mask(row.get("mask"), min(x), min(y))
    if kind == "rectangle":
        return (min(x), min(y), max(x), max(y)) if len(points) >= 2 else None
    if kind == "circle" and len(points) == 2:
        radius = math.dist(points[0], points[1])
        return ellipse(*points[0], radius, radius)
    return points if kind in _AREAS else []


def _mask(stated: Any, left: float, top: float) -> StatedMask | None:
    """A PNG in base64, of which everything but 0 is the object."""
    try:
        pixels = decode_image(base64.b64decode(stated, validate=True), "its mask")
    except (ValueError, TypeError, InputError):
        return None
    return mask_at(left, top, pixels[..., 0] > 0)


_READ_BOXES, _READ_MASKS = readers(_objects)
_SIGNS = "a .json with 'shapes' for each image"
FORMAT = DataFormat("labelme", "detection", "LabelMe boxes", _SIGNS, find, _READ_BOXES)
MASKS = DataFormat("labelme_masks", "segmentation", "LabelMe polygons", _SIGNS, find, _READ_MASKS, weak=True)
