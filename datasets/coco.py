"""COCO: ``instances_{split}.json`` + ``{split}/``, or the official layout of 2017 and 2014.

Format: https://cocodataset.org/#format-data; boxes are (x, y, width, height) in pixels from 0.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any, TypeGuard

from pocketvision.core.errors import InputError
from pocketvision.datasets.assemble import FoundBoxes, assemble
from pocketvision.datasets.folders import empty_split, existing_root, list_names, missing_split
from pocketvision.datasets.images import read_size
from pocketvision.datasets.records import DetectionRecords

Json = dict[str, Any]


def read_coco(root: str | Path, split: str) -> DetectionRecords:
    """Read a COCO detection split; classes are ordered by category id, whose gaps do not matter.

    Images without annotations are kept as background, crowd boxes are kept and marked.

    Raises:
        InputError: a file is missing or an entry is wrong; the sentence names it.
    """
    file, folder = _find(existing_root(root), split)
    content = _load(file)
    names = _categories(content["categories"], file)
    images = content["images"]
    if not images:
        raise empty_split(file, split)
    owners = _owners(images, file)
    _check_files(images, folder, file)
    label_of = {category_id: label for label, category_id in enumerate(names)}
    annotations = content["annotations"]
    return assemble(
        _boxes(annotations, owners, label_of, file),
        lambda i: f"{file}, annotation {annotations[i].get('id', f'number {i}')}",
        root=Path(root),
        image_paths=[str(folder / image["file_name"]) for image in images],
        image_ids=[image["id"] for image in images],
        sizes=[_size(image, folder) for image in images],
        class_names=tuple(names.values()),
        category_ids=tuple(names),
        annotation_file=str(file),
    )


def _find(root: Path, split: str) -> tuple[Path, Path]:
    """The annotation file and the image folder of a split."""
    layouts = [(root / f"instances_{split}.json", split)]
    for year in ("2017", "2014", ""):
        layouts.append((root / "annotations" / f"instances_{split}{year}.json", split + year))
    file, name = next((layout for layout in layouts if layout[0].is_file()), (None, ""))
    if file is None:
        found = list_names(root) | list_names(root / "annotations")
        matches = (re.fullmatch(r"instances_(.+?)(2017|2014)?\.json", name) for name in found)
        raise missing_split(root, split, {match[1] for match in matches if match})
    folder = next((path for path in (root / name, root / "images" / name) if path.is_dir()), None)
    if folder is None:
        raise InputError(f"{file} has no image folder: put its images into {root / name}.")
    return file, folder


def _load(file: Path) -> Json:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise InputError(
            f"{file} is no valid JSON (line {error.lineno}, column {error.colno}: {error.msg}): "
            "it may be incomplete; copy or export it again."
        ) from None
    except UnicodeDecodeError:
        raise InputError(f"{file} is no valid JSON (not UTF-8 text): copy or export it again.") from None
    for key in ("images", "annotations", "categories"):
        rows = content.get(key) if isinstance(content, dict) else None
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise InputError(f"{file} has no list of objects '{key}': export it again as COCO instances.")
    return content  # type: ignore[no-any-return]


def _categories(rows: list[Json], file: Path) -> dict[int, str]:
    """Category id -> name, ordered by id."""
    names: dict[int, str] = {}
    for row in rows:
        category_id, name = row.get("id"), row.get("name")
        if not _is_id(category_id) or not isinstance(name, str):
            raise InputError(f"{file} has the category {row}: give it an integer 'id' and a 'name'.")
        if category_id in names or name in names.values():
            raise InputError(
                f"{file} has two categories with id {category_id} or name '{name}': keep one of them."
            )
        names[category_id] = name
    return dict(sorted(names.items()))


def _owners(images: list[Json], file: Path) -> dict[int, int]:
    """Image id -> its index."""
    owners: dict[int, int] = {}
    for i, image in enumerate(images):
        image_id, name = image.get("id"), image.get("file_name")
        if not _is_id(image_id) or not isinstance(name, str):
            raise InputError(f"{file} has the image {image}: give it an integer 'id' and a 'file_name'.")
        if image_id in owners:
            first = images[owners[image_id]]["file_name"]
            raise InputError(
                f"{file} has image id {image_id} twice ({first} and {name}): give every image its own id."
            )
        owners[image_id] = i
    return owners


def _check_files(images: list[Json], folder: Path, file: Path) -> None:
    present = list_names(folder)
    for image in images:
        name = image["file_name"]
        if name not in present and not ("/" in name and (folder / name).is_file()):
            raise InputError(
                f"{file} names {name} (image id {image['id']}), which is not in {folder}: "
                "add the image, or remove it from the JSON."
            )


def _size(image: Json, folder: Path) -> tuple[int, int]:
    height, width = image.get("height"), image.get("width")
    if _is_id(height) and _is_id(width) and height > 0 and width > 0:
        return height, width
    return read_size(str(folder / image["file_name"]))


def _boxes(
    annotations: list[Json], owners: dict[int, int], label_of: dict[int, int], file: Path
) -> FoundBoxes:
    found = FoundBoxes()
    for i, row in enumerate(annotations):
        box, area = row.get("bbox"), row.get("area")
        owner, label = owners.get(row.get("image_id", -1)), label_of.get(row.get("category_id", -1))
        if owner is None or label is None or not _is_box(box) or not (area is None or _is_number(area)):
            raise InputError(f"{file}, annotation {row.get('id', f'number {i}')}: {_why(row, owner, label)}")
        x, y, width, height = box
        found.owners.append(owner)
        found.boxes.append((x, y, x + width, y + height))
        found.labels.append(label)
        found.crowd.append(bool(row.get("iscrowd", 0)))
        found.areas.append(area)
    found.difficult = [False] * len(found.owners)
    return found


def _why(row: Json, owner: int | None, label: int | None) -> str:
    if owner is None:
        return f"no image has its image id {row.get('image_id')}; add the image, or remove the annotation."
    if label is None:
        return (
            f"no category has its category id {row.get('category_id')}; "
            "add it to 'categories', or correct the annotation."
        )
    if _is_box(row.get("bbox")):
        return f"its area {row['area']} is not a finite number; correct it, or leave it out."
    return f"its bbox {row.get('bbox')} is not four finite numbers (x, y, width, height); correct it."


def _is_id(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _is_box(value: Any) -> TypeGuard[list[float]]:
    return isinstance(value, list) and len(value) == 4 and all(_is_number(side) for side in value)
