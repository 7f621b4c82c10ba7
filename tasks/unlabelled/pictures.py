"""The pictures of a folder that a model may label: those that the data set does not have."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pocketvision.core.errors import InputError
from pocketvision.core.progress import track
from pocketvision.core.structures import Size
from pocketvision.datasets.images.read import read_bytes, read_size
from pocketvision.datasets.readers.tree import FileTree
from pocketvision.datasets.records.annotations import DetectionRecords
from pocketvision.datasets.records.splits import take


class UnlabelledPictures(NamedTuple):
    """Records without boxes, and how many files are left out: in the data set, twice there, unreadable."""

    records: DetectionRecords
    num_known: int
    num_twice: int
    num_unreadable: int

    def line(self) -> str:
        """What was found, for a person."""
        reasons = {
            "also in the labeled data": self.num_known,
            "there twice": self.num_twice,
            "unreadable": self.num_unreadable,
        }
        left_out = ", ".join(f"{number} {words}" for words, number in reasons.items() if number)
        return f"{len(self.records)} unlabeled pictures" + (f"; left out: {left_out}" if left_out else "")


def picture_paths(folder: str | Path) -> list[str]:
    """All pictures below a folder.

    Raises:
        InputError: there is no such folder, or none in it.
    """
    place = Path(folder).expanduser().absolute()
    paths = [str(path) for path in FileTree(place).images_below(place)] if place.is_dir() else []
    if not paths:
        raise InputError(f"There are no pictures in {folder}: give a folder of some as --unlabelled.")
    return paths


def unlabelled_pictures(
    folder: str | Path, like: DetectionRecords, known: Iterable[str]
) -> UnlabelledPictures:
    """The pictures of ``folder``, with the classes of ``like``; none with the bytes of a file in ``known``.

    Raises:
        InputError: no picture is left.
    """
    taken = set(filter(None, map(_digest, known)))
    found: dict[str, tuple[str, Size]] = {}
    num_known = num_twice = num_unreadable = 0
    every = picture_paths(folder)
    for path in track(every, len(every), "look", "images"):
        size, digest = _size(path), _digest(path)
        num_unreadable += size is None
        num_known += size is not None and digest in taken
        num_twice += size is not None and digest in found
        if size is not None and digest is not None and digest not in taken and digest not in found:
            found[digest] = path, size
    if not found:
        raise InputError(f"All pictures in {folder} are in the labeled data or unreadable: give others.")
    paths, sizes = zip(*found.values(), strict=True)
    empty = take(like, [])
    records = replace(
        empty,
        root=str(folder),
        image_paths=list(paths),
        image_ids=np.arange(1, len(paths) + 1),
        sizes=np.array(sizes, dtype=np.int32),
        offsets=np.zeros(len(paths) + 1, dtype=np.int64),
        notes=(),
    )
    return UnlabelledPictures(records, num_known, num_twice, num_unreadable)


def _size(path: str) -> Size | None:
    try:
        return read_size(path)
    except InputError:
        return None


def _digest(path: str) -> str | None:
    """Of a file's bytes; None where it can't be read."""
    try:
        return hashlib.blake2b(read_bytes(path), digest_size=16).hexdigest()
    except InputError:
        return None
