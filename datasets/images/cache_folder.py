"""Where what was computed once is kept between runs."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvision.core.files import replacing

_KEY_LENGTH = 24


def cache_folder(kind: str) -> Path:
    """``$POCKETVISION_CACHE/kind``, by default in ``~/.cache/pocketvision``; it may be deleted any time."""
    root = os.environ.get("POCKETVISION_CACHE") or "~/.cache/pocketvision"
    return Path(root).expanduser() / kind


def kept_array(
    kind: str, key: object, shape: tuple[int, ...], compute: Callable[[], npt.NDArray[Any]]
) -> npt.NDArray[Any]:
    """The array of ``shape`` that ``compute`` gave once for what ``repr(key)`` says, or gives now.

    One that is damaged or of another shape is computed again; a full or read-only disk costs time only.
    """
    name = hashlib.sha256(repr(key).encode(errors="surrogatepass")).hexdigest()[:_KEY_LENGTH]
    file = cache_folder(kind) / f"{name}.npy"
    try:
        known: npt.NDArray[Any] = np.load(file)
        if known.shape == shape:
            return known
    except (OSError, ValueError):
        pass  # missing, or damaged
    found = compute()
    try:
        with replacing(file) as temporary, temporary.open("wb") as stream:
            np.save(stream, found)
    except OSError:
        pass
    return found
