"""Masks that are no files of class ids yet: made once, kept as PNGs in the cache folder."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import cv2

from pocketvision.core.files import replacing
from pocketvision.datasets.images.cache_folder import cache_folder
from pocketvision.datasets.readers.folders import list_names
from pocketvision.datasets.records.annotations import Mask

_FORMAT = 1
"""Raise it when masks are made in another way."""
_EVERY_S = 10.0
_log = logging.getLogger("pocketvision")


def mask_folder_of(*key: object) -> Path:
    """The folder of masks that depend on nothing but ``key``; a path in it counts with its time and size."""
    parts = [_state(part) if isinstance(part, Path) else repr(part) for part in (_FORMAT, *key)]
    name = hashlib.sha256("\n".join(parts).encode(errors="surrogateescape")).hexdigest()[:16]
    return cache_folder("masks") / name


def cached_masks(folder: Path, names: Iterable[str], make: Callable[[int], Mask]) -> list[str]:
    """Paths of ``names`` (without suffix) in ``folder``; those that are missing are made, and said so."""
    present = list_names(folder)
    files = [f"{name}.png" for name in names]
    missing = [i for i, file in enumerate(files) if file not in present]
    start = last = time.monotonic()
    for count, index in enumerate(missing):
        _write(folder / files[index], make(index))
        if (now := time.monotonic()) - last > _EVERY_S:
            last, rate = now, (count + 1) / (now - start)
            left = round((len(missing) - count - 1) / rate)
            _log.info(
                "%d of %d masks converted, %d s left (once, into %s)", count + 1, len(files), left, folder
            )
    return [str(folder / file) for file in files]


def _state(path: Path) -> str:
    state = path.stat()
    return f"{path.resolve()} {state.st_mtime_ns} {state.st_size}"


def _write(path: Path, mask: Mask) -> None:
    done, data = cv2.imencode(".png", mask, [cv2.IMWRITE_PNG_COMPRESSION, 3])
    assert done
    with replacing(path) as temporary:
        temporary.write_bytes(data.tobytes())
