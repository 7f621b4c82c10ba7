"""COCO JSON, read row by row: what is wrong with a row becomes a finding, the others are kept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeGuard

import orjson

from pocketvision.core.structures import Size
from pocketvision.datasets.readers.folders import is_file
from pocketvision.doctor.findings import Findings
from pocketvision.doctor.raw.layouts import coco_files
from pocketvision.doctor.raw.stated import RawDetection, RawImage, StatedValues, parse_number

_Json = dict[str, Any]


def read_raw_coco(root: Path, findings: Findings) -> RawDetection:
    """All splits of a COCO data set; ``sources`` holds each file's content."""
    data = RawDetection(root, "coco", "xywh")
    labels: dict[str, int] = {}
    for split, file in coco_files(root).items():
        content = _load(file, findings)
        if content is None:
            continue
        data.sources[file] = content
        label_of = _categories(content["categories"], file, labels, findings)
        owners = _images(content["images"], file, split, data, findings)
        _boxes(content["annotations"], file, owners, label_of, data, findings)
    data.class_names = list(labels)
    return data


def _load(file: Path, findings: Findings) -> _Json | None:
    text = file.read_bytes()
    try:
        content = _parse(text)
    except RecursionError:
        findings.add("annotation_broken", file, f"{file} is nested too deeply to be COCO: export it again.")
        return None
    except ValueError as error:
        where = ""
        if isinstance(error, json.JSONDecodeError):
            where = f"line {error.lineno}, column {error.colno}"
        what = "is empty" if not text.strip() else f"is no valid JSON ({' '.join(str(error).split())})"
        findings.add(
            "annotation_broken",
            file,
            f"{file} {what}: it may be half-written; copy or export it again.",
            where,
        )
        return None
    if not isinstance(content, dict):
        content = {}
    for key in ("images", "annotations", "categories"):
        rows = content.get(key)
        if not isinstance(rows, list):
            findings.add(
                "annotation_broken", file, f"{file} has no list '{key}': export it again as COCO.", key
            )
            return None
    return content


def _parse(text: bytes) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(text)  # knows NaN and Infinity, which Python's writer produces


def _categories(rows: list[Any], file: Path, labels: dict[str, int], findings: Findings) -> dict[int, int]:
    """Category id -> label; names are numbered across the splits."""
    label_of: dict[int, int] = {}
    names: set[str] = set()
    for number, row in enumerate(rows, start=1):
        category_id, name = (row.get("id"), row.get("name")) if isinstance(row, dict) else (None, None)
        if not _is_id(category_id) or not isinstance(name, str) or not name:
            findings.add(
                "annotation_incomplete",
                file,
                f"{file}, category number {number} is {_short(row)}: give it an integer 'id' and a 'name'.",
                f"category number {number}",
            )
            continue
        if category_id in label_of or name in names:
            findings.add(
                "class_twice",
                file,
                f"{file} has two categories with id {category_id} or name '{name}': keep one of them.",
                f"category {category_id}",
            )
            continue
        if category_id == 0:
            findings.add(
                "class_zero",
                file,
                f"{file}: category '{name}' has id 0, which many programs take for the background (not this "
                "one): count ids from 1 if others read the file.",
                "category 0",
            )
        names.add(name)
        label_of[category_id] = labels.setdefault(name, len(labels))
    return label_of


def _images(
    rows: list[Any], file: Path, split: str, data: RawDetection, findings: Findings
) -> dict[int, int]:
    """Image id -> index of the image; a repeated id or file keeps its first row."""
    owners: dict[int, int] = {}
    names: set[str] = set()
    folder = _folder(rows, file, split, data.root)
    data.folders.add(folder)
    for number, row in enumerate(rows, start=1):
        image_id, name = (row.get("id"), row.get("file_name")) if isinstance(row, dict) else (None, None)
        where = f"image id {image_id}"
        if not _is_id(image_id) or not isinstance(name, str) or not name or "\0" in name:
            where = f"image number {number}"
            sentence = f"{file}, {where} is {_short(row)}: give it an integer 'id' and a 'file_name'."
            findings.add("annotation_incomplete", file, sentence, where)
        elif image_id in owners:
            both = f"{data.images[owners[image_id]].name} and {name}"
            sentence = f"{file} has image id {image_id} twice ({both}): give every image its own id."
            findings.add("image_id_twice", file, sentence, where)
        elif name in names:
            sentence = f"{file} lists {name} twice: keep one row and all annotations with its id."
            findings.add("image_twice", file, sentence, where)
        else:
            names.add(name)
            owners[image_id] = len(data.images)
            path = folder / name
            data.images.append(RawImage(name, path, is_file(path), (split,), file, _size(row), row))
    return owners


def _folder(rows: list[Any], file: Path, split: str, root: Path) -> Path:
    """Of the folders in which COCO's relatives keep images, the one that has most of the first rows."""
    names = [
        row["file_name"]
        for row in rows[:50]
        if isinstance(row, dict) and isinstance(row.get("file_name"), str)
    ]
    splits = [split, f"{split}2017", f"{split}2014"]
    tails = [*(Path(name) for name in splits), *(Path("images", name) for name in splits)]
    candidates = [*(root / tail for tail in tails), file.parent, root / "images", root]
    found = [folder for folder in candidates if folder.is_dir()]
    return max(found, key=lambda folder: sum(is_file(folder / name) for name in names), default=root)


def _size(row: _Json) -> Size | None:
    height, width = row.get("height"), row.get("width")
    return (height, width) if _is_id(height) and _is_id(width) and height > 0 and width > 0 else None


def _boxes(
    rows: list[Any],
    file: Path,
    owners: dict[int, int],
    label_of: dict[int, int],
    data: RawDetection,
    findings: Findings,
) -> None:
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            where = f"annotation number {number}"
            findings.add(
                "annotation_incomplete", file, f"{file}, {where} is {_short(row)}: remove it.", where
            )
            continue
        where = f"annotation {row['id']}" if _is_id(row.get("id")) else f"annotation number {number}"
        image_id, category_id = row.get("image_id"), row.get("category_id")
        owner = owners.get(image_id, -1) if _is_id(image_id) else -1
        label = label_of.get(category_id, -1) if _is_id(category_id) else -1
        values = _values(row.get("bbox"))
        if owner < 0 or label < 0 or values is None:
            image = data.images[owner].path if owner >= 0 else None
            for kind, what in _faults(row, owner < 0, label < 0, values is None):
                findings.add(kind, file, f"{file}, {where}: {what}", where, image)
        data.boxes.add(owner, values, label, file, where, row, crowd=bool(row.get("iscrowd", 0)))


def _faults(row: _Json, no_image: bool, no_class: bool, no_box: bool) -> Iterator[tuple[str, str]]:
    """Kind and sentence of what an annotation lacks."""
    if no_image:
        image_id = _short(row.get("image_id"))
        yield "box_without_image", f"no image has its image id {image_id}; remove it, or add the image."
    if no_class:
        category_id = _short(row.get("category_id"))
        yield "class_unknown", f"no category has its category id {category_id}; add it, or correct this one."
    if no_box:
        yield "box_not_number", f"its bbox is {_short(row.get('bbox'))} instead of four numbers; correct it."


def _values(box: Any) -> StatedValues | None:
    if not isinstance(box, list) or len(box) != 4 or any(isinstance(side, str) for side in box):
        return None
    x, y, width, height = (parse_number(side) for side in box)
    return None if x is None or y is None or width is None or height is None else (x, y, width, height)


def _is_id(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
