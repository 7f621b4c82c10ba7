"""What a run trains on and with, in numbers and digests: a run that goes on says what has changed."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from pocketvision.core.errors import InputError
from pocketvision.core.files import read_json, write_json
from pocketvision.datasets.data_module import AnyData
from pocketvision.datasets.joint import JointRecords
from pocketvision.datasets.records.annotations import AnyRecords
from pocketvision.runs.folder import Run

logger = logging.getLogger("pocketvision")

FILE = "fingerprint.json"
_FILES = ("image_paths", "mask_paths")
_NOT_DATA = (*_FILES, "root", "annotation_file", "notes", "class_names", "image_ids")


def write_fingerprint(run: Run, data: AnyData) -> None:
    """Keep in the run folder what its config, overrides and data are now."""
    splits = (data.train_split, data.val_split)
    now = {**_settings(run), "data": {split: describe_split(data.records(split)) for split in splits}}
    write_json(run.folder / FILE, now)


def accept_settings(run: Run) -> None:
    """Config and overrides are as they are now because the training itself has changed them."""
    before = _read(run)
    if before is not None:
        write_json(run.folder / FILE, {**before, **_settings(run)})


def check_fingerprint(run: Run, data: AnyData, *, allow_changed_data: bool) -> None:
    """Say, once, what has changed since :func:`write_fingerprint`, if that was called.

    Raises:
        InputError: the data have, and ``allow_changed_data`` is False.
    """
    before = _read(run)
    if before is None:
        return
    now = _settings(run)
    if before["config"] != now["config"]:
        logger.warning("The config of %s was edited: training goes on with it as it is now.", run.folder)
    if before["overrides"] != now["overrides"]:
        words = " ".join(now["overrides"])
        logger.warning("The overrides of %s were edited: training goes on with %s.", run.folder, words)
    changes = [
        change
        for split in (data.train_split, data.val_split)
        for change in differences(split, before["data"].get(split), describe_split(data.records(split)))
    ]
    if changes and not allow_changed_data:
        raise InputError(
            f"The data of {run.folder} have changed since its training began: {'; '.join(changes)}. "
            "Bring back what was, or go on with --allow-changed-data."
        )
    if changes:
        logger.warning("The data have changed: %s.", "; ".join(changes))
    write_fingerprint(run, data)


def _read(run: Run) -> dict[str, Any] | None:
    """What was kept; None where nothing was, as in version 0.1, or where it is broken."""
    file = run.folder / FILE
    if not file.is_file():
        return None
    try:
        before = read_json(file)
        if isinstance(before["data"], dict) and {"config", "overrides"} <= before.keys():
            return dict(before)
    except (InputError, KeyError, TypeError, AttributeError):
        pass
    logger.warning("%s can't be read: what has changed is not known.", file)
    return None


def describe_split(records: AnyRecords | JointRecords) -> dict[str, Any]:
    """Counts and digests of a split's records; where the data lie makes no difference."""
    parts = list(records.parts.values()) if isinstance(records, JointRecords) else [records]
    paths = [path for part in parts for name in _FILES for path in getattr(part, name, ())]
    base = os.path.commonpath([os.path.dirname(path) for path in paths]) if paths else ""  # noqa: PTH120
    annotations = hashlib.blake2b(digest_size=16)
    for owner, field in [(part, field) for part in parts for field in fields(part)]:
        value = getattr(owner, field.name)
        if isinstance(value, np.ndarray) and field.name not in _NOT_DATA:
            annotations.update(f"{field.name}{value.dtype}{value.shape}".encode())
            annotations.update(np.ascontiguousarray(value).data)
    return {
        "images": len(records),
        "boxes": sum(len(getattr(part, "boxes", ())) for part in parts),
        "classes": list(records.class_names),
        "names": _digest(path.removeprefix(base) for path in paths),
        "annotations": annotations.hexdigest(),
        "sizes": _digest(str(_num_bytes(path)) for path in paths),
    }


def differences(split: str, before: Any, now: dict[str, Any]) -> list[str]:
    """What is other than it was, each in a few words."""
    if not isinstance(before, dict):
        return [f"there was no split {split}"]
    found = [
        f"{split} has {now[name]} {name} instead of {before.get(name)}"
        for name in ("images", "boxes")
        if now[name] != before.get(name)
    ]
    words = {
        "classes": "other classes",
        "names": "other file names, or another order of them",
        "annotations": "other annotations",
        "sizes": "files of other sizes",
    }
    others = [words[name] for name in words if now[name] != before.get(name)]
    return found or [f"{split} has {' and '.join(others)}"] if found or others else []


def _settings(run: Run) -> dict[str, Any]:
    files = sorted(path for path in (run.folder / "config").rglob("*.py") if path.is_file())
    texts = [f"{path.relative_to(run.folder).as_posix()}\0{_text(path)}" for path in files]
    return {"config": _digest(texts), "overrides": list(run.record["overrides"])}


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="surrogateescape")


def _digest(texts: Iterable[str] | Sequence[str]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for text in texts:
        digest.update(text.encode(errors="surrogatepass") + b"\0")
    return digest.hexdigest()


def _num_bytes(path: str) -> int:
    try:
        return os.stat(path).st_size  # noqa: PTH116 - a Path each takes most of the time
    except (OSError, ValueError):
        return -1
