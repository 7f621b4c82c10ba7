"""COCO JSON as tools write it: what can be repaired without doubt is, and is counted.

Numbers as text, missing or swapped boxes, boxes as shares of the image, polygons without their outer list,
images that are listed twice, and categories that only head others.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Any

from pocketvision.datasets.coco.json_file import CocoJson, load_coco
from pocketvision.datasets.readers.counted import Counted

_NUMBERS = {int, float}
_WHOLE = re.compile(r"-?\d{1,18}", re.ASCII)


def load_repaired(file: Path, *, polygons: bool = True) -> tuple[CocoJson, tuple[str, ...]]:
    """The content of a COCO JSON as :func:`load_coco` gives it, repaired, and what was done.

    Raises:
        InputError: it is no JSON, or one of its lists is missing.
    """
    content = load_coco(file, polygons=polygons)
    if is_usual(content):
        return content, ()
    if not polygons:
        content = load_coco(file)
    return content, repair(content, file)


def is_usual(content: CocoJson) -> bool:
    """Whether nothing needs repair; looks at all rows at once."""
    rows, images, categories = (content[key] for key in ("annotations", "images", "categories"))
    try:
        sides = list(chain.from_iterable(row["bbox"] for row in rows))
        kinds = (
            (sides, _NUMBERS),
            ((row["image_id"] for row in rows), {int}),
            ((row["category_id"] for row in rows), {int}),
            ((row.get("iscrowd", 0) for row in rows), {int, bool}),
            ((row["id"] for row in chain(images, categories)), {int}),
            ((image["file_name"] for image in images), {str}),
        )
    except (KeyError, TypeError):
        return False
    if not all(set(map(type, values)) <= allowed for values, allowed in kinds) or len(sides) != 4 * len(rows):
        return False
    is_turned = min(sides[2::4], default=0) < 0 or min(sides[3::4], default=0) < 0
    is_share = bool(sides) and max(sides) <= 1
    names = [image["file_name"] for image in images]
    return not (is_turned or is_share or len(set(names)) < len(names) or _heads(categories, rows))


def repair(content: CocoJson, file: Path) -> tuple[str, ...]:
    """Repair ``content`` in place and say what was done; what is beyond repair stays as it is."""
    done = Counted()
    images, rows = content["images"], content["annotations"]
    for row in content["categories"]:
        _as_integers(row, ("id",))
    for row in images:
        _as_integers(row, ("id", "width", "height"))
    for row in rows:
        _as_integers(row, ("id", "image_id", "category_id", "iscrowd"))
    _number_images(content)
    _join_images(content, file, done)
    heads = _heads(content["categories"], rows)
    if heads:
        content["categories"] = [row for row in content["categories"] if row.get("name") not in heads]
    sizes = {_key(image.get("id")): (image.get("width"), image.get("height")) for image in images}
    for number, row in enumerate(rows):
        place = f"{file}, annotation {row.get('id', f'number {number}')}"
        _repair_polygons(row, sizes.get(_key(row.get("image_id"))), place, done)
        _repair_box(row, place, done)
    _repair_shares(rows, sizes, file, done)
    return done.lines()


def _as_integers(row: CocoJson, keys: Iterable[str]) -> None:
    """Text or a decimal that is a whole number becomes one."""
    for key in keys:
        value = row.get(key)
        is_whole = isinstance(value, str) and _WHOLE.fullmatch(value.strip()) is not None
        if is_whole or (isinstance(value, float) and value.is_integer()):
            row[key] = int(value)  # type: ignore[arg-type]


def _number_images(content: CocoJson) -> None:
    """Images whose ids are names get numbers, in their order; so do categories."""
    for key, reference in (("images", "image_id"), ("categories", "category_id")):
        ids = [row.get("id") for row in content[key]]
        if not any(isinstance(value, str) for value in ids) or len(set(map(str, ids))) < len(ids):
            continue
        number = {_key(value): i for i, value in enumerate(ids, start=1)}
        for row in content[key]:
            row["id"] = number[_key(row["id"])]
        for row in content["annotations"]:
            if isinstance(row.get(reference), str | int):
                row[reference] = number.get(row[reference], row[reference])


def _join_images(content: CocoJson, file: Path, done: Counted) -> None:
    """An image that is listed twice under two ids is one image with the annotations of both."""
    first: dict[str, Any] = {}
    same: dict[Any, Any] = {}
    for image in content["images"]:
        name = image.get("file_name")
        if isinstance(name, str) and first.setdefault(name, _key(image.get("id"))) != _key(image.get("id")):
            same[_key(image.get("id"))] = first[name]
            done.add("images listed twice were joined", f"{file}, {name}")
    if not same:
        return
    content["images"] = [image for image in content["images"] if _key(image.get("id")) not in same]
    for row in content["annotations"]:
        if _key(row.get("image_id")) in same:
            row["image_id"] = same[_key(row["image_id"])]


def _heads(categories: list[CocoJson], rows: list[CocoJson]) -> set[str]:
    """Categories without annotations that only head the others, as Roboflow and Labelme2coco write them."""
    used = {row.get("category_id") for row in rows if isinstance(row.get("category_id"), int | str)}
    above = Counter(
        row.get("supercategory") for row in categories if isinstance(row.get("supercategory"), str)
    )
    return {
        row["name"]
        for row in categories
        if isinstance(row.get("name"), str)
        and _key(row.get("id")) not in used
        and (above[row["name"]] >= len(categories) - 1 > 0 or row["name"] == "_background_")
    }


def _repair_polygons(row: CocoJson, size: Any, place: str, done: Counted) -> None:
    shape = row.get("segmentation")
    if isinstance(shape, list) and shape and all(_number(value) is not None for value in shape):
        row["segmentation"] = shape = [shape]
        done.add("polygons without their outer list were read", place)
    if isinstance(shape, list) and shape:
        good = [part for part in map(_polygon, shape) if part is not None]
        if len(good) < len(shape):
            done.add("annotations have broken parts of a polygon, which are left out", place)
        row["segmentation"] = good or shape  # nothing good: segmentation refuses it
    if isinstance(shape, dict) and isinstance(shape.get("size"), list) and size is not None:
        width, height = size
        if shape["size"] == [width, height] != [height, width]:
            row["segmentation"] = {**shape, "size": [height, width]}
            done.add("run lengths state width before height and were read so", place)


def _polygon(part: Any) -> list[float] | None:
    """A polygon's numbers; None where they are no three corners."""
    if not isinstance(part, list) or len(part) < 6 or len(part) % 2:
        return None
    numbers = [_number(value) for value in part]
    return None if None in numbers else numbers  # type: ignore[return-value]


def _repair_box(row: CocoJson, place: str, done: Counted) -> None:
    box = row.get("bbox")
    sides = [_number(side) for side in box] if isinstance(box, list) else []
    if len(sides) != 4 or None in sides:
        corners = _corners(row.get("segmentation"))
        if corners is not None:
            row["bbox"] = corners
            done.add("boxes were missing and are taken from their polygons", place)
        return
    x, y, width, height = (float(side) for side in sides if side is not None)
    if width < 0 or height < 0:
        done.add("boxes with negative width or height were turned", place)
        x, y, width, height = min(x, x + width), min(y, y + height), abs(width), abs(height)
    row["bbox"] = [x, y, width, height]
    if (area := row.get("area")) is not None:
        row["area"] = _number(area)


def _corners(shape: Any) -> list[float] | None:
    """The box (x, y, width, height) around polygons."""
    parts = [_polygon(part) for part in shape] if isinstance(shape, list) and shape else []
    points = [value for part in parts if part is not None for value in part]
    if not points:
        return None
    left, top = min(points[::2]), min(points[1::2])
    return [left, top, max(points[::2]) - left, max(points[1::2]) - top]


def _repair_shares(rows: list[CocoJson], sizes: dict[Any, Any], file: Path, done: Counted) -> None:
    """Boxes that all lie in [0, 1] are shares of the image's sides."""
    boxes = [row["bbox"] for row in rows if isinstance(row.get("bbox"), list) and len(row["bbox"]) == 4]
    is_share = bool(boxes) and all(isinstance(s, float | int) and 0 <= s <= 1 for box in boxes for s in box)
    if not is_share or not all(_is_size(sizes.get(_key(row.get("image_id")))) for row in rows):
        return
    for row in rows:
        width, height = sizes[_key(row["image_id"])]
        x, y, w, h = row["bbox"]
        row["bbox"], row["area"] = [x * width, y * height, w * width, h * height], None
        done.add(
            "boxes are shares of their image and were multiplied by its size", f"{file}, {row.get('id')}"
        )


def _key(value: Any) -> Any:
    """An id as a key of a table; what can't be one is no id."""
    return value if isinstance(value, int | str | float) else None


def _is_size(size: Any) -> bool:
    return size is not None and all(isinstance(side, int) and side > 0 for side in size)


def _number(value: Any) -> float | None:
    """A finite number, also as text; None where it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
