"""COCO: ``instances_{split}.json`` + ``{split}/``, or the official layout of 2017 and 2014.

Format: https://cocodataset.org/#format-data; boxes are (x, y, width, height) in pixels from 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from pocketvision.core.errors import InputError
from pocketvision.datasets.coco.index import read_index, write_index
from pocketvision.datasets.coco.json_file import CocoJson
from pocketvision.datasets.coco.layouts import existing_place, find_coco, image_root
from pocketvision.datasets.coco.repair import load_repaired
from pocketvision.datasets.coco.rows import is_id, read_annotations
from pocketvision.datasets.images.read import read_size
from pocketvision.datasets.readers.assemble import assemble
from pocketvision.datasets.readers.folders import empty_split
from pocketvision.datasets.readers.image_names import ImageNames
from pocketvision.datasets.records.annotations import DetectionRecords


def read_coco(root: str | Path, split: str) -> DetectionRecords:
    """Read a COCO detection split; classes are ordered by category id, whose gaps do not matter.

    ``root`` is a folder, or one JSON file whose only split is ``all``. Images without annotations are kept
    as background, crowd boxes are kept and marked; what had to be repaired is in the notes. Of a large
    file an index is kept in the cache folder, and used while the file stays the same.

    Raises:
        InputError: a file is missing or an entry is wrong; the sentence names it.
    """
    file, folder = find_coco(existing_place(root), split)
    images = ImageNames(image_root(Path(root).expanduser()), folder)
    if folder is not None and (records := read_index(file, folder, root)) is not None:
        for name, image_id in _names(records, folder):
            images.find(name, f"{file} (image id {image_id})")
        return records
    records, is_plain = _read_json(file, images, root, split)
    return write_index(records, file, folder) if is_plain and folder is not None else records


def _read_json(file: Path, names: ImageNames, root: str | Path, split: str) -> tuple[DetectionRecords, bool]:
    """The records, and whether they come from the JSON alone: nothing repaired, searched or measured."""
    content, notes = load_repaired(file, polygons=False)
    categories = _categories(content["categories"], file)
    images = content["images"]
    if not images:
        raise empty_split(file, split)
    owners = _owners(images, file)
    paths = [str(names.find(image["file_name"], f"{file} (image id {image['id']})")) for image in images]
    label_of = {category_id: label for label, category_id in enumerate(categories)}
    annotations = content["annotations"]
    stated = [_stated_size(image) for image in images]
    if names.num_searched:
        first = images[0]["file_name"]
        notes = (*notes, f"{names.num_searched} images were found by the end of their path (first: {first}).")
    records = assemble(
        read_annotations(annotations, owners, label_of, file),
        lambda i: f"{file}, annotation {annotations[i].get('id', f'number {i}')}",
        root=Path(root),
        image_paths=paths,
        image_ids=[image["id"] for image in images],
        sizes=[size or read_size(path) for size, path in zip(stated, paths, strict=True)],
        class_names=tuple(categories.values()),
        category_ids=tuple(categories),
        annotation_file=str(file),
    )
    records = replace(records, notes=(*notes, *records.notes))
    return records, not notes and None not in stated


def _categories(rows: list[CocoJson], file: Path) -> dict[int, str]:
    """Category id -> name, ordered by id."""
    names: dict[int, str] = {}
    for row in rows:
        category_id, name = row.get("id"), row.get("name")
        if not is_id(category_id) or not isinstance(name, str):
            raise InputError(f"{file} has the category {row}: give it an integer 'id' and a 'name'.")
        if category_id in names or name in names.values():
            raise InputError(
                f"{file} has two categories with id {category_id} or name '{name}': keep one of them."
            )
        names[category_id] = name
    return dict(sorted(names.items()))


def _owners(images: list[CocoJson], file: Path) -> dict[int, int]:
    """Image id -> its index."""
    owners: dict[int, int] = {}
    for i, image in enumerate(images):
        image_id, name = image.get("id"), image.get("file_name")
        if not is_id(image_id) or not isinstance(name, str):
            raise InputError(f"{file} has the image {image}: give it an integer 'id' and a 'file_name'.")
        if image_id in owners:
            first = images[owners[image_id]]["file_name"]
            raise InputError(
                f"{file} has image id {image_id} twice ({first} and {name}): give every image its own id."
            )
        owners[image_id] = i
    return owners


def _names(records: DetectionRecords, folder: Path) -> Iterator[tuple[str, int]]:
    prefix = f"{folder}/"
    for path, image_id in zip(records.image_paths, records.image_ids.tolist(), strict=True):
        yield path.removeprefix(prefix), image_id


def _stated_size(image: CocoJson) -> tuple[int, int] | None:
    height, width = image.get("height"), image.get("width")
    if is_id(height) and is_id(width) and 0 < height < 2**31 and 0 < width < 2**31:
        return height, width
    return None
