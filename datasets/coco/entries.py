"""Categories and images of a COCO JSON: ids of any kind, repetitions, and where the image files lie."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from pocketvision.core.errors import InputError
from pocketvision.datasets.coco.json_file import CocoJson
from pocketvision.datasets.coco.layouts import expected_folder, image_folder_of
from pocketvision.datasets.readers.image_finder import ImageFinder, is_readable, present_names
from pocketvision.datasets.readers.image_sizes import find_size
from pocketvision.datasets.readers.tree import FileTree
from pocketvision.datasets.readers.values import short_text
from pocketvision.datasets.records.kinds import (
    ANNOTATION_INCOMPLETE,
    CLASS_MERGED,
    CLASS_ROOT,
    CLASS_TWICE,
    IMAGE_ID_TWICE,
    IMAGE_MISSING,
    IMAGE_TWICE,
    TEXT_NUMBER,
)
from pocketvision.datasets.records.notes import Notes

EntryId = int | str
_BACKGROUNDS = ("background", "_background_", "__background__", "__ignore__")
_MAX_SIDE = 1 << 31


@dataclass(frozen=True)
class CocoImages:
    """Images of a file, in its order.

    ``owners`` are the index of each id that the file gives; ``is_stated`` tells that ids and sizes are
    those of the file, so that it can be read again by its ids.
    """

    paths: list[str]
    ids: list[int]
    sizes: list[tuple[int, int]]
    owners: dict[EntryId, int]
    has_sizes: bool
    is_stated: bool


@dataclass(frozen=True)
class CocoCategories:
    """Class names and ids by id, and the label of each id that the file gives."""

    names: tuple[str, ...]
    ids: tuple[int, ...]
    label_of: dict[EntryId, int]
    is_stated: bool


def is_id(value: Any) -> TypeGuard[int]:
    """Whether ``value`` is an integer that an array can hold."""
    return isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63


def plain_id(value: Any) -> EntryId | None:
    """An id as a number where it is one, also as text or with a fraction of zero; other text as it is."""
    if is_id(value):
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if isinstance(value, str) and value.strip():
        text = value.strip()
        digits = text.removeprefix("-")
        return int(text) if digits.isdecimal() and digits.isascii() and len(digits) < 19 else text
    return None


def read_categories(rows: list[Any], annotations: list[Any], file: Path, notes: Notes) -> CocoCategories:
    """The classes of a file; one that stands for no class and that no annotation has is left out."""
    names: dict[EntryId, str] = {}
    id_of: dict[str, EntryId] = {}
    label_ids: dict[EntryId, EntryId] = {}
    kept: dict[EntryId, CocoJson] = {}
    for number, row in enumerate(rows, start=1):
        own, name = (plain_id(row.get("id")), row.get("name")) if isinstance(row, dict) else (None, None)
        if isinstance(name, int) and not isinstance(name, bool):
            name = str(name)
        if own is None or not isinstance(name, str) or not name.strip():
            sentence = f"{file} has the category {short(row)}: give it an integer 'id' and a 'name'."
            notes.add(ANNOTATION_INCOMPLETE, file, sentence, f"category number {number}")
        elif own in label_ids:
            where = f"category {own}"
            if names.get(label_ids[own]) == name:
                sentence = f"{file} lists the category '{name}' with id {own} twice: keep one row."
                notes.add(CLASS_MERGED, file, sentence, where)
                continue
            sentence = f"{file} has two categories with id {own}, one of them '{name}': keep one of them."
            notes.add(CLASS_TWICE, file, sentence, where)
        elif name in id_of:
            label_ids[own] = id_of[name]
            sentence = (
                f"{file} has two categories of the name '{name}', which are read as one: keep one of them."
            )
            notes.add(CLASS_MERGED, file, sentence, f"category {own}")
        else:
            names[own], id_of[name], label_ids[own], kept[own] = name, own, own, row
            if isinstance(row["id"], str) and isinstance(own, int):
                notes.add(TEXT_NUMBER, file, f"{file} has the id {row['id']!r}: write it as a number.",
                          f"category {own}")  # fmt: skip
    for own in _without_boxes(kept, annotations):
        sentence = (
            f"{file}: no box has category '{names[own]}', which stands for all others or for the background."
        )
        notes.add(CLASS_ROOT, file, sentence, f"category {own}")
        del names[own], label_ids[own]
    is_stated = len(kept) == len(rows) and all(is_id(row["id"]) for row in kept.values())
    return _in_order(names, label_ids, is_stated=is_stated)


def _in_order(
    names: dict[EntryId, str], label_ids: dict[EntryId, EntryId], *, is_stated: bool
) -> CocoCategories:
    """Classes by id; names as ids are counted anew."""
    order = sorted(names, key=lambda own: (isinstance(own, str), own))
    label = {own: i for i, own in enumerate(order)}
    ids = tuple(order) if all(isinstance(own, int) for own in order) else tuple(range(1, len(order) + 1))
    return CocoCategories(
        tuple(names[own] for own in order),
        tuple(int(own) for own in ids),
        {own: label[target] for own, target in label_ids.items() if target in label},
        is_stated,
    )


def _without_boxes(rows: dict[EntryId, CocoJson], annotations: list[Any]) -> list[EntryId]:
    """Roboflow's root category, and labelme2coco's background: unused, and no class."""
    if len(rows) < 2:
        return []
    roots = [own for own, row in rows.items() if row.get("supercategory") in ("none", "None")]
    above = [row.get("supercategory") for row in rows.values()]
    heads = {own for own, row in rows.items() if above.count(row["name"]) >= len(rows) - 1}
    heads |= set(roots) if roots == [0] else set()
    found = [own for own, row in rows.items() if row["name"] in _BACKGROUNDS or own in heads]
    if not found:
        return []
    used = {plain_id(row.get("category_id")) for row in annotations if isinstance(row, dict)}
    return [own for own in found if own not in used]


def read_images(rows: list[Any], split: str, file: Path, tree: FileTree, notes: Notes) -> CocoImages:
    """The images of a file, each file once, with their sizes.

    Raises:
        InputError: none of them can be found.
    """
    names = [
        row["file_name"] for row in rows if isinstance(row, dict) and isinstance(row.get("file_name"), str)
    ]
    if rows and not names:
        raise InputError(f"{file} names no image file: export it again as COCO instances.")
    folders = image_folder_of(tree, split, file, names)
    reader = _ImageRows(file, ImageFinder(tree, folders, split, notes), notes)
    present = present_names(tree, folders[0])
    for number, row in enumerate(rows, start=1):
        reader.add(row, number, folders[0], present)
    if names and not reader.paths and reader.not_found:
        raise InputError(
            f"{file} names {reader.not_found[0][1]}, which is nowhere below {tree.root}, and has no image "
            f"folder: put its images into {expected_folder(tree, split, file)}."
        )
    reader.tell_missing()
    return reader.images(len(rows))


class _ImageRows:
    def __init__(self, file: Path, finder: ImageFinder, notes: Notes) -> None:
        self.file, self.finder, self.notes = file, finder, notes
        self.paths: list[str] = []
        self.ids: list[EntryId] = []
        self.sizes: list[tuple[int, int]] = []
        self.owners: dict[EntryId, int] = {}
        self.names: dict[EntryId, str] = {}
        self.index_of: dict[str, int] = {}
        self.has_sizes = True
        self.missing: set[EntryId] = set()
        self.not_found: list[tuple[EntryId, str]] = []

    def add(self, row: Any, number: int, folder: Path, present: frozenset[str]) -> None:
        own, name = (plain_id(row.get("id")), row.get("file_name")) if isinstance(row, dict) else (None, None)
        if own is None or not isinstance(name, str) or not name:
            where = f"image number {number}"
            sentence = f"{self.file} has the image {short(row)}: give it an integer 'id' and a 'file_name'."
            self.notes.add(ANNOTATION_INCOMPLETE, self.file, sentence, where)
            return
        first = self.names.setdefault(own, name)
        if first != name:
            sentence = (
                f"{self.file} has image id {own} twice ({short_text(first)} and {short_text(name)}): give "
                "every image its own id."
            )
            self.notes.add(IMAGE_ID_TWICE, self.file, sentence, f"image id {own}")
            return
        path = f"{folder}/{name}" if name in present else self._search(name, own)
        if path is None:
            return
        if not is_readable(path, self.file, f"image id {own}", self.notes):
            self.missing.add(own)
        elif path in self.index_of:
            self.owners.setdefault(own, self.index_of[path])
            sentence = f"{self.file} lists {name} twice: keep one row and all annotations with its id."
            self.notes.add(IMAGE_TWICE, self.file, sentence, f"image id {own}")
        else:
            self._append(row, own, path)

    def _append(self, row: CocoJson, own: EntryId, path: str) -> None:
        size = stated_size(row)
        if size is None:
            self.has_sizes = False
            size = find_size(path, self.notes)
            if size is None:
                self.missing.add(own)
                return
        if isinstance(row["id"], str) and isinstance(own, int):
            sentence = f"{self.file} has the id {row['id']!r}: write it as a number."
            self.notes.add(TEXT_NUMBER, self.file, sentence, f"image id {own}")
        self.owners[own] = self.index_of[path] = len(self.paths)
        self.paths.append(path)
        self.ids.append(own)
        self.sizes.append(size)

    def _search(self, name: str, own: EntryId) -> str | None:
        found = self.finder.find(name, self.file, f"image id {own}")
        if found is None:
            self.missing.add(own)
            self.not_found.append((own, short_text(name)))
        return None if found is None else str(found)

    def tell_missing(self) -> None:
        """Tell the images that are not there."""
        for own, name in self.not_found:
            folder = self.finder.folders[0]
            sentence = (
                f"{self.file} (image id {own}) names {name}, which is not in {folder}: add the image, or "
                "remove it from the annotations."
            )
            self.notes.add(IMAGE_MISSING, self.file, sentence, name)

    def images(self, num_rows: int) -> CocoImages:
        are_numbers = all(isinstance(own, int) for own in self.ids)
        ids = [int(own) for own in self.ids] if are_numbers else list(range(1, len(self.ids) + 1))
        is_stated = are_numbers and len(self.paths) == num_rows and not self.notes.counts.get(TEXT_NUMBER)
        owners = {**self.owners, **dict.fromkeys(self.missing, MISSING)}
        return CocoImages(self.paths, ids, self.sizes, owners, self.has_sizes, is_stated)


MISSING = -1
"""Index of an image that is not there: its annotations go without another word."""


def stated_size(image: CocoJson) -> tuple[int, int] | None:
    """(height, width) of an image's row, None where it states none that can be."""
    sides = plain_id(image.get("height")), plain_id(image.get("width"))
    height, width = (side if isinstance(side, int) and 0 < side < _MAX_SIDE else 0 for side in sides)
    return (height, width) if height and width else None


def short(value: Any) -> str:
    """A value of any size for a sentence."""
    return short_text(repr(value))
