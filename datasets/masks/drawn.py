"""Masks of whole images, drawn once from the outlines of objects into the cache folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import orjson

from pocketvision.core.errors import InputError
from pocketvision.core.files import write_json
from pocketvision.core.structures import IGNORE_INDEX, Size
from pocketvision.datasets.coco.run_lengths import RunLengths, area, decode
from pocketvision.datasets.masks.cache import cached_masks, mask_folder_of
from pocketvision.datasets.readers.tree import FileTree
from pocketvision.datasets.records.annotations import UNEXPECTED, Mask, SegmentationRecords
from pocketvision.datasets.records.kinds import KIND_OF
from pocketvision.datasets.records.notes import Note, Notes, as_row, from_row

BACKGROUND = "background"
_MAX_PIXELS = 1 << 28


class DrawnObject(NamedTuple):
    """The class index of an object, ``IGNORE_INDEX`` for a crowd, and its pixels."""

    value: int
    runs: RunLengths


Draw = Callable[[Notes], Callable[[int], tuple[Size, list[DrawnObject]]]]
"""Given where to tell what can't be drawn, a function from the index of an image to its size and objects."""


def drawn_records(
    key: Sequence[object],
    image_paths: Sequence[str],
    sizes: Sequence[Size],
    image_ids: Sequence[int],
    class_names: Sequence[str],
    draw: Draw,
    notes: Notes,
) -> SegmentationRecords:
    """Records whose masks depend on ``key`` and the images alone; class 0 is ``background``.

    Where objects overlap, the smaller is on top; crowds are ignored, below all objects. The first time all
    masks are drawn; later the PNGs are found in the cache.

    Raises:
        InputError: there are more classes than a mask can hold.
    """
    if len(class_names) + 1 > UNEXPECTED:
        raise InputError(f"There are {len(class_names)} classes: masks can have {UNEXPECTED - 1} at most.")
    images = (list(image_paths), [tuple(map(int, size)) for size in sizes])
    folder = mask_folder_of(*key, notes.strict, list(class_names), images)
    files = [f"{image_id}.png" for image_id in image_ids]
    note_file = folder / "notes.json"
    present = set(FileTree(folder).listing(folder).files)
    if not {*files, note_file.name} <= present or _read_notes(note_file) is None:
        told = Notes(strict=notes.strict)
        objects_of = draw(told)

        def make(index: int) -> Mask:
            return _paint(*objects_of(index), image_paths[index])

        cached_masks(folder, [str(image_id) for image_id in image_ids], make)
        for index in (i for i, file in enumerate(files) if file in present):
            objects_of(index)  # a drawing that was interrupted has told nothing of these
        write_json(note_file, [as_row(note) for note in told.as_notes()])
    notes.extend(_read_notes(note_file) or ())
    masks = [str(folder / name) for name in files]
    return _records(image_paths, masks, image_ids, class_names)


def _records(
    image_paths: Sequence[str], mask_paths: list[str], image_ids: Sequence[int], class_names: Sequence[str]
) -> SegmentationRecords:
    lookup = np.full(256, UNEXPECTED, dtype=np.uint8)
    lookup[: len(class_names) + 1] = np.arange(len(class_names) + 1)
    lookup[IGNORE_INDEX] = IGNORE_INDEX
    return SegmentationRecords(
        image_paths=image_paths,
        mask_paths=mask_paths,
        image_ids=np.array(image_ids, dtype=np.int64),
        class_names=(BACKGROUND, *class_names),
        lookup=lookup,
    )


def _read_notes(file: Path) -> list[Note] | None:
    try:
        return [from_row(row, KIND_OF) for row in orjson.loads(file.read_bytes())]
    except (OSError, ValueError, KeyError, TypeError):
        return None  # missing, or of another version


def _paint(size: Size, objects: list[DrawnObject], image: str) -> Mask:
    """Crowds first, then from large to small; equal areas in the order of the file."""
    height, width = size
    if height * width > _MAX_PIXELS:
        raise InputError(f"{image}: its stated size {width}x{height} is a mistake; correct it.")
    objects.sort(key=lambda item: (item.value != IGNORE_INDEX, -area(item.runs)))
    mask = np.zeros(size, dtype=np.uint8)
    for value, runs in objects:
        mask[decode(runs, size)] = value
    return mask
