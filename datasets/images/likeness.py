"""Pictures that show nearly the same: found by thumbnails, and put together in groups."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from pocketvision.core.errors import InputError
from pocketvision.datasets.images.cache_folder import kept_array
from pocketvision.datasets.images.header import opened
from pocketvision.datasets.images.read import read_bytes

Thumbnail = npt.NDArray[np.uint8]
"""(16, 18) gray."""
Groups = npt.NDArray[np.int64]
"""(N,): the first image of the group that each image is in."""

MAX_BITS = 6
"""Of 64: how far the difference hashes of two candidates may lie apart."""

MAX_DIFFERENCE = 3.0
"""Mean absolute difference of two thumbnails, in gray levels, up to which they show the same."""

MAX_GROUPED = 20_000
"""Images from which on groups are not looked for: every image has to be decoded for it."""
_log = logging.getLogger("pocketvision")
_SIZE = (18, 16)
_MIN_CONTRAST = 4.0
_BLOCK = 2048
_THREADS = 8
_VERSION = 1


def shrink(image: Image.Image) -> Thumbnail:
    """The thumbnail of a picture."""
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image, dtype=np.float64)
        top = max(float(values.max()), 255.0)
        image = Image.fromarray((values.clip(0) * (255 / top)).astype(np.uint8))
    return np.asarray(image.convert("L").resize(_SIZE, Image.Resampling.BOX))


def difference_hash(thumbnails: npt.NDArray[np.uint8]) -> npt.NDArray[np.int8]:
    """Difference hashes (dHash) of thumbnails (N, 16, 18): (N, 64) of -1 and 1."""
    cells = thumbnails.reshape(-1, 8, 2, 9, 2).astype(np.float32).mean(axis=(2, 4))
    rises = cells[:, :, 1:] > cells[:, :, :-1]
    return np.where(rises, 1, -1).astype(np.int8).reshape(-1, 64)


def near_pairs(first: npt.NDArray[np.uint8], second: npt.NDArray[np.uint8]) -> Iterator[tuple[int, int]]:
    """Indices of thumbnails (M, 16, 18) and (N, 16, 18) that show nearly the same picture.

    Candidates are those whose hashes differ by at most ``MAX_BITS``; the thumbnails decide, after
    their mean brightness is subtracted. Flat pictures, such as black ones, are left out.
    """
    keep = [np.flatnonzero(side.std(axis=(1, 2)) >= _MIN_CONTRAST) for side in (first, second)]
    hashes = [
        difference_hash(side[own]).astype(np.float32) for side, own in zip((first, second), keep, strict=True)
    ]
    for start in range(0, len(hashes[0]), _BLOCK):
        distance = (64 - hashes[0][start : start + _BLOCK] @ hashes[1].T) / 2
        for i, j in zip(*np.nonzero(distance <= MAX_BITS), strict=True):
            a, b = int(keep[0][start + i]), int(keep[1][j])
            if _difference(first[a], second[b]) <= MAX_DIFFERENCE:
                yield a, b


def groups_of(thumbnails: npt.NDArray[np.uint8]) -> Groups:
    """Which of thumbnails (N, 16, 18) show nearly the same, or are joined by others that do."""
    first = list(range(len(thumbnails)))

    def root(i: int) -> int:
        while first[i] != i:
            first[i] = i = first[first[i]]
        return i

    for a, b in near_pairs(thumbnails, thumbnails):
        one, other = sorted((root(a), root(b)))
        first[other] = one
    return np.array([root(i) for i in range(len(first))], dtype=np.int64)


def like_groups(paths: Sequence[str]) -> Groups:
    """Groups of image files that show nearly the same; found once, and then kept in the cache folder.

    Files that can't be read are groups of their own, and so is each of more than ``MAX_GROUPED``.
    """
    alone = np.arange(len(paths), dtype=np.int64)
    if len(paths) > MAX_GROUPED:
        return alone
    try:
        key = [_VERSION, *map(_state, paths)]
    except OSError:
        return alone  # generated pictures are no files

    def find() -> Groups:
        with ThreadPoolExecutor(_THREADS) as pool:
            thumbnails = np.stack(list(pool.map(_thumbnail, paths)) or [_flat()])
        return groups_of(thumbnails)[: len(paths)]

    groups: Groups = kept_array("likeness", key, alone.shape, find)
    _tell(groups)
    return groups


def _tell(groups: Groups) -> None:
    if num_like := len(groups) - len(np.unique(groups)):
        _log.info("%d images show nearly the same as others, and are divided with them", num_like)


def _thumbnail(path: str) -> Thumbnail:
    try:
        with opened(read_bytes(path), path) as image:
            image.draft("L", (64, 64))  # JPEG: decoded at an eighth, if that is large enough
            image.load()
            return shrink(image)
    except InputError:
        return _flat()  # like nothing; reading says what is wrong with it


def _flat() -> Thumbnail:
    return np.zeros(_SIZE[::-1], dtype=np.uint8)


def _state(path: str) -> tuple[str, int, int]:
    status = Path(path).stat()
    return path, status.st_mtime_ns, status.st_size


def _difference(first: Thumbnail, second: Thumbnail) -> float:
    a, b = first.astype(np.float32), second.astype(np.float32)
    return float(np.abs((a - a.mean()) - (b - b.mean())).mean())
