"""The class names that lie in a TFLite file: text files that its metadata packs behind the model."""

from __future__ import annotations

import zipfile
from pathlib import Path

_MAX_BYTES = 1 << 20
_EMPTY = ("", "???", "n/a", "-")
"""How label files write an id without a class."""


def read_labels(path: Path) -> tuple[str | None, ...] | None:
    """Names of a file's classes in their order, None for reserved ones; None where it holds none.

    The names are those of the first text file with "label" in its name, else of the only text file.
    """
    if path.suffix != ".tflite" or not zipfile.is_zipfile(path):
        return None
    try:
        with zipfile.ZipFile(path) as archive:
            files = [entry for entry in archive.infolist() if entry.filename.endswith(".txt")]
            labels = [entry for entry in files if "label" in entry.filename.lower()] or files[:1]
            if not labels or labels[0].file_size > _MAX_BYTES:
                return None
            text = archive.read(labels[0]).decode("utf-8", errors="replace")
    except (zipfile.BadZipFile, OSError, RuntimeError):
        return None  # damaged, or packed or encrypted as zipfile doesn't know: a file without labels is fine
    names = [line.strip() for line in text.rstrip("\n").splitlines()]
    return tuple(None if name.lower() in _EMPTY else name for name in names) or None
