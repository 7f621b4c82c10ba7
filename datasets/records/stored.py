"""Records whose arrays and paths lie in a file, for loader workers to share and for the next run."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from pocketvision.datasets.records.mapped import MappedArray, StringTable, load_arrays, save_arrays
from pocketvision.datasets.records.splits import SplitRecords

_PATHS = ("image_paths", "mask_paths", "mask_sources")
_MIN_BYTES, _PATH_BYTES = 1 << 16, 64


def store(records: SplitRecords, path: Path, about: dict[str, Any]) -> SplitRecords:
    """Write the large arrays and the paths of ``records`` to ``path``; the same records from there."""
    arrays: dict[str, Any] = {}
    for field in fields(records):
        value = getattr(records, field.name)
        if field.name in _PATHS and value is not None:
            table = value if isinstance(value, StringTable) else StringTable.of(value)
            arrays |= {f"{field.name}.characters": table.characters, f"{field.name}.offsets": table.offsets}
        elif isinstance(value, np.ndarray):
            arrays[field.name] = value
    save_arrays(path, arrays, about)
    return replace(records, **stored(path)[0])


def stored(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Fields of the records that :func:`store` wrote, and ``about``.

    Raises:
        OSError, ValueError: see :func:`pocketvision.datasets.records.mapped.load_arrays`.
    """
    arrays, about = load_arrays(path)
    tables = {name.partition(".")[0] for name in arrays if "." in name}
    found: dict[str, Any] = {name: array for name, array in arrays.items() if "." not in name}
    for name in tables:
        found[name] = StringTable(arrays[f"{name}.characters"], arrays[f"{name}.offsets"])
    return found, about


def is_large(records: SplitRecords) -> bool:
    """Whether workers had better be sent a place than the arrays and paths themselves."""
    num_bytes = 0
    for field in fields(records):
        value = getattr(records, field.name)
        if isinstance(value, list):
            num_bytes += _PATH_BYTES * len(value)
        elif isinstance(value, np.ndarray) and not isinstance(value, MappedArray):
            num_bytes += value.nbytes
    return num_bytes >= _MIN_BYTES
