"""What a large COCO JSON holds, checked once and kept as arrays in the cache folder."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from pocketvision.datasets.images.cache_folder import cache_folder
from pocketvision.datasets.records.annotations import DetectionRecords
from pocketvision.datasets.records.stored import store, stored

MIN_BYTES = 16 << 20
"""Of a JSON: smaller ones are read in less than a second."""
_VERSION = 2
"""To be raised when what the reader makes of a file changes."""
_FACTS = ("class_names", "category_ids", "notes")


def read_index(file: Path, folder: Path, root: str | Path) -> DetectionRecords | None:
    """The records of ``file`` with images in ``folder``; None if there is no index of just this file."""
    try:
        found, about = stored(_place(file, folder))
        if about["key"] != _key(file, folder):
            return None
        facts = about["facts"]
        return DetectionRecords(
            root=str(Path(root)),
            class_names=tuple(facts["class_names"]),
            category_ids=tuple(facts["category_ids"]),
            notes=tuple(facts["notes"]),
            annotation_file=str(file),
            **found,
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None  # missing or damaged: it is written anew


def write_index(records: DetectionRecords, file: Path, folder: Path) -> DetectionRecords:
    """Keep ``records`` if ``file`` is large; the same records, then from the index."""
    if file.stat().st_size < MIN_BYTES:
        return records
    about = {"key": _key(file, folder), "facts": {name: getattr(records, name) for name in _FACTS}}
    place = _place(file, folder)
    try:
        kept = store(records, place, about)
        for other in place.parent.glob(f"{place.name.partition('-')[0]}-*"):
            if other != place:  # of the JSON as it was before
                other.unlink(missing_ok=True)
        return kept
    except OSError:
        return records  # a full or read-only disk costs time, not the training


def _place(file: Path, folder: Path) -> Path:
    """Named after the JSON and then after its state, so that an index never changes while it is mapped."""
    key = _key(file, folder)
    names = (_digest([key["file"], key["folder"]]), _digest(key))
    return cache_folder("annotations") / f"{'-'.join(names)}.arrays"


def _digest(value: Any) -> str:
    return hashlib.blake2b(repr(value).encode(errors="surrogatepass"), digest_size=12).hexdigest()


def _key(file: Path, folder: Path) -> dict[str, Any]:
    status = file.stat()
    return {
        "version": _VERSION,
        "file": str(file.absolute()),
        "folder": str(folder),  # as the paths of the images begin
        "modified": status.st_mtime_ns,
        "size": status.st_size,
    }
