"""Frames of one clip: told by the numbers in their file names, and by showing nearly the same."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from pocketvision.datasets.images.likeness import Groups

Grouping = Literal["clip", "folder", "likeness", "prefix"]
"""What makes images a group that no split divides: see :func:`named_groups` and :func:`clip_groups`."""

MIN_RUN = 3
"""Nearly identical frames in a row that are a run."""
_FRAME = re.compile(r"(|.*\D)(\d+)(?![A-Za-z\d])(.*)")
_EXPORTED = re.compile(r"_(jpe?g|png|bmp|webp)\.rf\.[0-9A-Za-z]+$", re.IGNORECASE)
"""What Roboflow adds to the name of a file."""


class FrameName(NamedTuple):
    """A file name in two parts: what all frames of a sequence have, folder included, and the frame's number.

    The number is the last one that no letter follows; None where there is none.
    """

    sequence: tuple[str, str, str]
    number: int | None


def frame_name(path: str) -> FrameName:
    """``clips/a_0012.jpg`` -> the sequence ("clips", "a_", ""), number 12."""
    folder, stem = str(Path(path).parent), _EXPORTED.sub("", Path(path).stem)
    parts = _FRAME.fullmatch(stem)
    if parts is None:
        return FrameName((folder, stem, ""), None)
    return FrameName((folder, parts[1], parts[3]), int(parts[2]))


def sequences(paths: Sequence[str]) -> list[list[int]]:
    """Indices of images that are numbered alike, each sequence in the order of its numbers."""
    found: dict[tuple[str, str, str], list[tuple[int, str, int]]] = defaultdict(list)
    for i, path in enumerate(paths):
        sequence, number = frame_name(path)
        if number is not None:
            found[sequence].append((number, path, i))
    return [[i for _, _, i in sorted(members)] for members in found.values()]


def clip_groups(paths: Sequence[str], alike: Groups) -> Groups:
    """Groups (N,) of clips: images that show nearly the same, by ``alike``, with the rest of their sequence.

    A sequence of numbered files is a clip where at least half of its neighbors show nearly the same. If all
    images would be one clip, groups are those of ``alike``.
    """
    clips = list(range(len(paths)))

    def root(i: int) -> int:
        while clips[i] != i:
            clips[i] = i = clips[clips[i]]
        return i

    def join(a: int, b: int) -> None:
        one, other = sorted((root(a), root(b)))
        clips[other] = one

    for i, first in enumerate(alike.tolist()):
        join(i, first)
    for members in sequences(paths):
        steps = np.diff(alike[members])
        if len(steps) and (steps == 0).mean() >= 0.5:
            for i in members[1:]:
                join(members[0], i)
    groups = np.array([root(i) for i in range(len(clips))], dtype=np.int64)
    return alike if len(np.unique(groups)) < 2 else groups


def named_groups(paths: Sequence[str], how: Literal["folder", "prefix"]) -> Groups:
    """Groups (N,) of the images of a folder, or of those whose names differ in the frame's number alone."""
    first: dict[object, int] = {}
    keys = [frame_name(path).sequence if how == "prefix" else str(Path(path).parent) for path in paths]
    return np.array([first.setdefault(key, i) for i, key in enumerate(keys)], dtype=np.int64)


def runs(paths: Sequence[str], alike: Groups) -> list[list[int]]:
    """Indices of frames in a row of a sequence, :data:`MIN_RUN` at least, that show nearly the same."""
    found: list[list[int]] = []
    for members in sequences(paths):
        breaks = np.flatnonzero(np.diff(alike[members])) + 1
        pieces = np.split(np.array(members), breaks)
        found += [piece.tolist() for piece in pieces if len(piece) >= MIN_RUN]
    return found
