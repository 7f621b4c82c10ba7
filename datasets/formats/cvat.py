"""CVAT for images 1.1: one XML file with the boxes, polygons and ellipses of all images, in pixels.

Format: https://docs.cvat.ai/docs/manual/advanced/xml_format; for its other exports see these formats.
"""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np

from pocketvision.core.errors import InputError
from pocketvision.datasets.coco.entries import stated_size
from pocketvision.datasets.convert.common import check_split_names
from pocketvision.datasets.formats.contract import DataFormat, Layout
from pocketvision.datasets.formats.objects import Objects, readers
from pocketvision.datasets.images.header import MAX_PIXELS
from pocketvision.datasets.readers.one_file import files_of_splits
from pocketvision.datasets.readers.outlines import add_object, ellipse, mask_at, numbers
from pocketvision.datasets.readers.stated import (
    Polygon,
    StatedBox,
    StatedImage,
    StatedMask,
    rotated_corners,
)
from pocketvision.datasets.readers.tree import FileTree
from pocketvision.datasets.readers.xml_file import parse_xml
from pocketvision.datasets.records.notes import Notes
from pocketvision.datasets.records.splits import canonical

_SHAPES = ("box", "polygon", "ellipse", "mask", "polyline", "points", "cuboid", "skeleton")
_Found = dict[str, list[StatedImage]]


def find(tree: FileTree) -> Layout | None:
    """A split is a subset that the images state, else a file."""
    files = files_of_splits(tree, (".xml",), lambda start: b"<annotations" in start and b"<image" in start)
    splits: dict[str, list[tuple[str, Path]]] = {}
    for default, file in files.items():
        for split in _images(file, default, Notes(strict=False)):
            splits.setdefault(split, []).append((default, file))
    check_split_names(splits)
    every = list(files.items())
    return Layout(tree, {split: (own, every) for split, own in splits.items()}) if splits else None


def _objects(layout: Layout, split: str, notes: Notes) -> Objects:
    own, every = layout.splits[split]
    images: list[StatedImage] = []
    for default, file in own:
        notes.read.add(str(file))
        images += _images(file, default, notes, only=split)[split]
    found = [_images(file, default, Notes(strict=False)) for default, file in every]
    objects = (
        item for splits in found for those in splits.values() for image in those for item in image.objects
    )
    places = dict.fromkeys((*(file.parent for _, file in own), layout.tree.root))
    folders = [place / inner for place in places for inner in ("", "images", split, f"images/{split}")]
    return Objects(images, sorted({item.label for item in objects}), folders)


def _images(file: Path, default: str, notes: Notes, only: str | None = None) -> _Found:
    """Split -> its images, or those of ``only`` one."""
    root = parse_xml(file, notes)
    found: _Found = {}
    for item in root.iter("image"):
        name, subset = item.get("name") or "", (item.get("subset") or "").strip()
        split = canonical(subset) if subset and subset.lower() != "default" else default
        if not name or (only is not None and split != only):
            continue
        size = stated_size({"height": item.get("height"), "width": item.get("width")})
        image = StatedImage(name, file, f"image {name}", size=size)
        shapes = [shape for shape in item if shape.tag in _SHAPES]
        for number, shape in enumerate(shapes, start=1):
            where = f"image {name}, {shape.tag} {number}"
            add_object(image, where, shape.get("label"), _shape(shape), notes, kind=shape.tag)
        found.setdefault(split, []).append(image)
    if not found and only is None:
        raise InputError(f"{file} names no image: export it again as CVAT for images 1.1.")
    return found


def _shape(item: ET.Element) -> StatedBox | StatedMask | Polygon | None:
    angle = math.radians((numbers([item.get("rotation") or "0"]) or [0.0])[0])
    if item.tag == "box":
        sides = numbers([item.get(key) for key in ("xtl", "ytl", "xbr", "ybr")])
        if sides is None or not angle:
            return None if sides is None else (sides[0], sides[1], sides[2], sides[3])
        left, top, right, bottom = sides
        return rotated_corners((left + right) / 2, (top + bottom) / 2, right - left, bottom - top, angle)
    if item.tag == "mask":
        return _mask(item)
    if item.tag == "ellipse":
        sides = numbers([item.get(key) for key in ("cx", "cy", "rx", "ry")])
        return None if sides is None else ellipse(sides[0], sides[1], sides[2], sides[3], angle)
    if item.tag != "polygon":
        return []
    flat = numbers((item.get("points") or "").replace(";", ",").split(","))
    return None if flat is None or len(flat) % 2 else list(zip(flat[::2], flat[1::2], strict=True))


def _mask(item: ET.Element) -> StatedMask | None:
    """Runs of pixels outside and inside in turn, row by row, as in CVAT's ``cvat_rle_to_dm_rle``."""
    sides = numbers([item.get(key) for key in ("left", "top", "width", "height")])
    counts = numbers((item.get("rle") or "").split(","))
    if sides is None or counts is None or min(counts) < 0:
        return None
    left, top, width, height = sides
    if width * height != sum(counts) or not 0 < width * height <= MAX_PIXELS:
        return None
    pixels = np.repeat(np.arange(len(counts)) % 2 == 1, np.array(counts, dtype=np.int64))
    is_whole = len(pixels) == int(width) * int(height)
    return mask_at(left, top, pixels.reshape(int(height), int(width))) if is_whole else None


_READ_BOXES, _READ_MASKS = readers(_objects)
_SIGNS = "a .xml with <annotations> and an <image> for each picture"
FORMAT = DataFormat("cvat", "detection", "CVAT boxes", _SIGNS, find, _READ_BOXES)
MASKS = DataFormat("cvat_masks", "segmentation", "CVAT polygons", _SIGNS, find, _READ_MASKS, weak=True)
