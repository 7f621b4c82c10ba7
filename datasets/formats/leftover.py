"""What lies in a data set and was not read: no picture and no label goes without a word."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pocketvision.datasets.formats.contract import Layout
from pocketvision.datasets.readers.tree import (
    ARRAY_SUFFIX,
    IMAGE_SUFFIXES,
    UNREAD_SUFFIXES,
    FileTree,
    picture_names,
)
from pocketvision.datasets.readers.yolo_layouts import NO_LABELS
from pocketvision.datasets.records.annotations import AnyRecords, SegmentationRecords
from pocketvision.datasets.records.kinds import ANNOTATION_UNUSED, FILE_HIDDEN, IMAGE_UNUSED, PICTURE_UNREAD
from pocketvision.datasets.records.notes import Kind, Notes

_LABEL_SUFFIXES = (".txt", ".xml", ".json", ".csv")
_NO_LABELS = (*NO_LABELS, "labelmap.txt", "label_map.txt", "class_dict.csv", "classes.csv", "_classes.csv",
              "class_map.csv", "requirements.txt")  # fmt: skip


def tell_leftover(
    layout: Layout, readings: Iterable[AnyRecords], reader_notes: Iterable[Notes], notes: Notes
) -> None:
    """Tell pictures and labels below the root that no split uses, and those that are hidden or not read.

    What readers have told of already, by its file, by an image or by its stem, is not told again. Label files
    are told only where some of their kind were read: others belong to other programs.
    """
    used: set[str] = set()
    told: set[str] = set()
    read: set[str] = set()
    for own in reader_notes:
        read |= own.read
        for kind, places in own.kept.items():
            used.update(path for place in places for path in place.images)
            if kind.severity == "error":
                used.update(place.file for place in places)
                told.update(stem for place in places for stem in (place.where, Path(place.file).stem))
    used |= read
    for records in readings:
        used.update(records.image_paths)
        if isinstance(records, SegmentationRecords):
            used.update(records.mask_paths)
    kinds = {Path(file).suffix.lower() for file in read} & set(_LABEL_SUFFIXES)
    tree = layout.tree
    if tree.given is None:
        for folder, listing in tree.walk():
            pictures = set(picture_names(listing.files))
            for name in listing.files:
                if name.lower().endswith(ARRAY_SUFFIX) and name not in pictures:
                    continue  # what a program keeps of a picture
                _tell_file(folder, name, used, told, kinds, notes)
            for name in listing.hidden:
                _tell_hidden(tree, folder, name, notes)


def _tell_file(
    folder: Path, name: str, used: set[str], told: set[str], kinds: set[str], notes: Notes
) -> None:
    path, lower = f"{folder}/{name}", name.lower()
    if path in used or (told and name.rpartition(".")[0] in told):
        return
    if lower.endswith(IMAGE_SUFFIXES):
        _add(IMAGE_UNUSED, path, "is in no annotation: annotate it (as background if it shows nothing), or "
             "remove it.", notes, path)  # fmt: skip
    elif lower.endswith(UNREAD_SUFFIXES):
        _add(PICTURE_UNREAD, path, "is of a format that is not read: convert it to JPEG or PNG.", notes)
    elif lower.endswith(tuple(kinds)) and kinds and lower not in _NO_LABELS:
        _add(
            ANNOTATION_UNUSED,
            path,
            "belongs to no image of any split: name it as its image, or remove it.",
            notes,
        )


def _tell_hidden(tree: FileTree, folder: Path, name: str, notes: Notes) -> None:
    path = folder / name
    inner = tree.listing(path)
    looks_like_data = name.lower().endswith((*IMAGE_SUFFIXES, *_LABEL_SUFFIXES))
    has_data = any(file.lower().endswith(IMAGE_SUFFIXES) for file in (*inner.files, *inner.hidden))
    if looks_like_data or has_data:
        _add(FILE_HIDDEN, str(path), "is hidden and not read: rename it if it belongs to the data.", notes)


def _add(kind: Kind, path: str, what: str, notes: Notes, image: str | None = None) -> None:
    if notes.is_full(kind):
        notes.count(kind)
    else:
        notes.add(kind, path, f"{path} {what}", "", image)
