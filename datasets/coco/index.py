"""What a large COCO JSON holds, checked once and kept as arrays in the cache folder."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

from pocketvision.datasets.images.cache_folder import cache_folder
from pocketvision.datasets.readers.tree import FileTree
from pocketvision.datasets.records.annotations import DetectionRecords
from pocketvision.datasets.records.kinds import KIND_OF
from pocketvision.datasets.records.notes import as_row, from_row
from pocketvision.datasets.records.stored import store, stored

MIN_BYTES = 16 << 20
"""Of a JSON: smaller ones are read in less than a second."""
_VERSION = 3
"""To be raised when what the reader makes of a file changes."""
_FACTS = ("class_names", "category_ids")


def read_index(file: Path, tree: FileTree) -> DetectionRecords | None:
    """The records of ``file``; None if there is no index of just this file, or its images are gone."""
    try:
        found, about = stored(_place(file, tree.root))
        if about["key"] != _key(file, tree.root):
            return None
        facts = about["facts"]
        records = DetectionRecords(
            root=str(tree.root),
            class_names=tuple(facts["class_names"]),
            category_ids=tuple(facts["category_ids"]),
            notes=tuple(from_row(row, KIND_OF) for row in facts["notes"]),
            annotation_file=str(file) if facts["is_plain"] else None,
            **found,
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None  # missing or damaged: it is written anew
    return records if _are_there(records, tree) else None


def write_index(records: DetectionRecords, file: Path, root: Path) -> DetectionRecords:
    """Keep ``records`` if ``file`` is large; the same records, then from the index."""
    if file.stat().st_size < MIN_BYTES:
        return records
    facts = {name: getattr(records, name) for name in _FACTS}
    facts["notes"] = [as_row(note) for note in records.notes]
    facts["is_plain"] = records.annotation_file is not None
    place = _place(file, root)
    try:
        kept = store(records, place, {"key": _key(file, root), "facts": facts})
        for other in place.parent.glob(f"{place.name.partition('-')[0]}-*"):
            if other != place:  # of the JSON as it was before
                other.unlink(missing_ok=True)
        return kept
    except OSError:
        return records  # a full or read-only disk costs time, not the training


def _are_there(records: DetectionRecords, tree: FileTree) -> bool:
    """Whether all images still lie where they were; each folder is listed once."""
    present: dict[str, set[str]] = {}
    for path in records.image_paths:
        # os.path.split would take longer than all else here.
        folder, _, name = (path if os.sep == "/" else path.replace(os.sep, "/")).rpartition("/")
        names = present.get(folder)
        if names is None:
            names = present[folder] = set(tree.listing(folder).files)
        if name not in names:
            return False
    return True


def _place(file: Path, root: Path) -> Path:
    """Named after the JSON and then after its state, so that an index never changes while it is mapped."""
    key = _key(file, root)
    names = (_digest([key["file"], key["root"]]), _digest(key))
    return cache_folder("annotations") / f"{'-'.join(names)}.arrays"


def _digest(value: Any) -> str:
    return hashlib.blake2b(repr(value).encode(errors="surrogatepass"), digest_size=12).hexdigest()


def _key(file: Path, root: Path) -> dict[str, Any]:
    status = file.stat()
    return {
        "version": _VERSION,
        "file": str(file.absolute()),
        "root": str(root),  # as the paths of the images begin
        "modified": status.st_mtime_ns,
        "size": status.st_size,
    }
