"""Where a run keeps decoded images: in memory while it lasts, or on disk for the next run too."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pocketvision.core.files import process_lives
from pocketvision.core.structures import Size
from pocketvision.datasets.images.cache_folder import cache_folder
from pocketvision.datasets.images.decoded_cache import ImageCache

CacheKind = Literal["ram", "disk"]

_SHARED_MEMORY = Path("/dev/shm")
_PREFIX = "pocketvision-"
_MAX_SHARE = 0.8
"""Of what is free in memory; the rest is for batches on their way from the workers."""
_log = logging.getLogger("pocketvision")


def open_cache(
    kind: CacheKind, gib: float, files: Sequence[tuple[str, Size | None]], owner: object
) -> ImageCache:
    """A cache of up to ``gib`` GiB for ``files``; one in memory is removed with ``owner`` or the process.

    Raises:
        ValueError: ``kind`` or ``gib`` is no possible value.
    """
    if kind not in ("ram", "disk"):
        raise ValueError(f"data.cache is {kind!r}: choose 'ram', 'disk' or None.")
    if not gib > 0:
        raise ValueError(f"data.cache_gib is {gib!r}: give a number above 0.")
    folder = cache_folder("images") if kind == "disk" else _memory_folder(owner)
    folder.mkdir(parents=True, exist_ok=True)
    num_bytes = int(gib * 2**30)
    if kind == "ram":
        free = int(shutil.disk_usage(folder).free * _MAX_SHARE)
        if free < num_bytes:
            _log.warning("%s has room for %.2f GiB of decoded images only.", folder.parent, free / 2**30)
            num_bytes = free
    cache = ImageCache(folder, num_bytes)
    present = cache.make_room(files)
    _log.info("%d of %d files are decoded already, in %s", present, len(files), folder)
    return cache


def _memory_folder(owner: object) -> Path:
    """A folder in shared memory where there is such a thing, else among temporary files."""
    base = _SHARED_MEMORY if _SHARED_MEMORY.is_dir() else Path(tempfile.gettempdir())
    for left in base.glob(f"{_PREFIX}*-*"):
        process = left.name[len(_PREFIX) :].partition("-")[0]
        if process.isdecimal() and not process_lives(int(process)):
            shutil.rmtree(left, ignore_errors=True)  # its run was killed
    return temporary_folder(owner, base)


def temporary_folder(owner: object, base: Path | None = None) -> Path:
    """A new folder that is removed with ``owner``, or when this process ends."""
    folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=base))
    weakref.finalize(owner, _remove, folder, os.getpid())
    return folder


def _remove(folder: Path, process: int) -> None:
    if os.getpid() == process:  # a forked worker has a copy of the owner
        shutil.rmtree(folder, ignore_errors=True)
