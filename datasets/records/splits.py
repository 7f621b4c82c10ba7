"""Splits: their names in files and folders, and two seeded parts of a data set that has only one."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from pocketvision.core.errors import InputError
from pocketvision.datasets.records.annotations import (
    AnyRecords,
    ClassificationRecords,
    SegmentationRecords,
)

SplitRecords = TypeVar("SplitRecords", bound=AnyRecords)
_Place = TypeVar("_Place")
Indices = npt.NDArray[np.int64]

ALL = "all"
"""The name of the only split of a data set that has no splits."""

_WORDS = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test",
    "testing": "test", "trainval": "trainval",
}  # fmt: skip


def split_of(name: str) -> str | None:
    """The split that a file or folder name speaks of: ``train2017`` -> train, ``my_valid.csv`` -> val."""
    words = re.split(r"[\W_\d]+", name.lower())
    return next((_WORDS[word] for word in reversed(words) if word in _WORDS), None)


def find_split(present: Iterable[str], split: str) -> str | None:
    """The one of ``present`` that is ``split`` or another word for it (``valid``, ``val``), or None."""
    names = sorted(present)
    if split in names:
        return split
    return next((name for name in names if canonical(name) == canonical(split)), None)


def canonical(name: str) -> str:
    """``valid`` -> val, and so on; other names as they are."""
    return _WORDS.get(name.lower(), name)


def one_of_each(
    places: Mapping[str, _Place], of: Path, split_by: Callable[[str], str | None] = split_of
) -> dict[str, _Place]:
    """Split -> the one of ``places`` (name -> place) whose name speaks of it; other names stay as they are.

    A name that is a word for the split, such as ``Training``, counts before one that only has the word, such
    as ``train_old``. The latter is then no part of the data.

    Raises:
        InputError: two names speak of a split equally, and their places differ; ``of`` holds both.
    """
    groups: dict[str, list[str]] = {}
    for name in places:
        groups.setdefault(split_by(name) or name, []).append(name)
    chosen: dict[str, _Place] = {}
    for split, names in groups.items():
        first, *others = [name for name in names if name.lower() in _WORDS] or names
        other = next((name for name in others if places[name] != places[first]), None)
        if other is not None:
            raise InputError(
                f"{of}: '{first}' and '{other}' are both of the split '{split}': rename one, or move it away."
            )
        chosen[split] = places[first]
    return chosen


def divide(
    records: SplitRecords, val_fraction: float = 0.2, seed: int = 0, groups: Indices | None = None,
    *, near: bool = False,
) -> tuple[SplitRecords, SplitRecords]:  # fmt: skip
    """Training and validation part of ``records``.

    Where an image belongs depends on its file name and ``seed`` alone (for classes: the name below
    ``root``), so that adding or removing images does not move others. The number is therefore near
    ``val_fraction``, not equal to it; each part has at least one image. Images of one of ``groups`` (N,),
    which show nearly the same, stay on one side, unless all are one group. With ``near``, groups of more than
    1 % of the images are taken in the order of their draws where that brings the share nearer to
    ``val_fraction``, so that it differs by half such a group at most.

    Raises:
        InputError: there are fewer than two images.
        ValueError: the fraction is not between 0 and 1.
    """
    if not 0 < val_fraction < 1:
        raise ValueError(f"val_fraction is {val_fraction}: give a number between 0 and 1, such as 0.2.")
    if len(records) < 2:
        raise InputError(
            f"{_place(records)} has {len(records)} image: add images, training and validation need one each."
        )
    names = _places(records.image_paths) if near else _names(records)
    own = np.arange(len(records)) if groups is None or len(np.unique(groups)) < 2 else groups
    first: dict[int, str] = {}
    for name, group in zip(names, own.tolist(), strict=True):
        first[group] = min(name, first.get(group, name))
    draw_of = {group: _draw(name, seed) for group, name in first.items()}
    draws = np.array([draw_of[group] for group in own.tolist()])
    is_val = _near_share(own, draws, val_fraction) if near else draws < val_fraction
    if not is_val.any():
        is_val = own == own[draws.argmin()]
    if is_val.all():
        is_val = own != own[draws.argmax()]
    return take(records, np.flatnonzero(~is_val)), take(records, np.flatnonzero(is_val))


def _near_share(groups: Indices, draws: npt.NDArray[np.float64], fraction: float) -> npt.NDArray[np.bool_]:
    """Which images (N,) are for validation: small groups by their draws, large ones where they fit."""
    _, first, owners, counts = np.unique(groups, return_index=True, return_inverse=True, return_counts=True)
    is_large = counts > max(1, len(groups) // 100)
    chosen = (draws[first] < fraction) & ~is_large
    wanted = fraction * len(groups) - counts[chosen].sum()
    for group in np.argsort(draws[first], kind="stable").tolist():
        if is_large[group] and counts[group] <= 2 * wanted:
            chosen[group] = True
            wanted -= counts[group]
    if not chosen.any():
        chosen[np.lexsort((draws[first], counts))[0]] = True
    return np.asarray(chosen[owners.ravel()], dtype=np.bool_)


def take(records: SplitRecords, indices: Sequence[int] | Indices) -> SplitRecords:
    """The images ``indices`` of ``records``, in ascending order."""
    chosen = np.unique(np.asarray(indices, dtype=np.int64))
    image_paths = [records.image_paths[i] for i in chosen.tolist()]
    image_ids = records.image_ids[chosen]
    if isinstance(records, SegmentationRecords):
        mask_paths = [records.mask_paths[i] for i in chosen.tolist()]
        sources = records.mask_sources
        own = None if sources is None else [sources[i] for i in chosen.tolist()]
        return replace(
            records, image_paths=image_paths, mask_paths=mask_paths, image_ids=image_ids, mask_sources=own
        )
    if isinstance(records, ClassificationRecords):
        labels = records.labels[chosen]
        return replace(records, image_paths=image_paths, image_ids=image_ids, labels=labels)
    counts = np.diff(records.offsets)
    is_chosen = np.zeros(len(records), dtype=np.bool_)
    is_chosen[chosen] = True
    keep = np.repeat(is_chosen, counts)
    return replace(
        records,
        image_paths=image_paths,
        image_ids=image_ids,
        sizes=records.sizes[chosen],
        offsets=np.concatenate(([0], np.cumsum(counts[chosen]))).astype(np.int64),
        boxes=records.boxes[keep],
        labels=records.labels[keep],
        crowd=records.crowd[keep],
        areas=records.areas[keep],
        difficult=None if records.difficult is None else records.difficult[keep],
        rows=None if records.rows is None else records.rows[keep],
        annotation_file=None,  # it holds the other images too: the truth comes from the arrays
    )


def _draw(name: str, seed: int) -> float:
    """A number in [0, 1) from the name; a Mac writes umlauts in another Unicode form than Linux."""
    text = f"{seed}/{unicodedata.normalize('NFC', name)}".encode(errors="surrogateescape")
    return int.from_bytes(hashlib.blake2b(text, digest_size=6).digest(), "big") / (1 << 48)


def _names(records: AnyRecords) -> list[str]:
    if isinstance(records, ClassificationRecords):
        return [Path(path).relative_to(records.root).as_posix() for path in records.image_paths]
    return [Path(path).name for path in records.image_paths]


def _places(paths: Sequence[str]) -> list[str]:
    """Names below the folder that holds all files: those of two folders may be alike."""
    common = Path(os.path.commonpath([Path(path).parent for path in paths]))
    return [Path(path).relative_to(common).as_posix() for path in paths]


def _place(records: AnyRecords) -> str:
    if isinstance(records, SegmentationRecords):
        return str(Path(records.image_paths[0]).parent) if len(records) else "The data"
    return records.root
