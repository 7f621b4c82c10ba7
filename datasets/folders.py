"""Looking for files of a data set; every folder is listed once."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from pocketvision.core.errors import InputError
from pocketvision.datasets.records import MissingSplitError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")


def existing_root(root: str | Path) -> Path:
    """``root`` as a path.

    Raises:
        InputError: there is no such folder.
    """
    path = Path(root).expanduser()
    if not path.is_dir():
        raise InputError(f"There is no data folder {path}: set data.root to where the data set lies.")
    return path


def list_names(folder: Path) -> set[str]:
    """Names of the entries of ``folder``, one system call a chunk instead of one a file; empty if absent."""
    if not folder.is_dir():
        return set()
    with os.scandir(folder) as entries:
        return {entry.name for entry in entries}


def by_stem(folder: Path, suffixes: tuple[str, ...] = IMAGE_SUFFIXES) -> dict[str, str]:
    """Stem -> name of the files in ``folder`` with one of ``suffixes``, sorted by stem.

    Raises:
        InputError: two files differ only in their suffix.
    """
    stems: dict[str, str] = {}
    for name in sorted(list_names(folder), key=lambda name: (Path(name).stem, name)):
        path = Path(name)
        if path.suffix.lower() in suffixes and stems.setdefault(path.stem, name) != name:
            raise InputError(
                f"{folder} holds {stems[path.stem]} and {name}, which differ only in their suffix: "
                "remove or rename one."
            )
    return stems


def missing_split(where: Path, split: str, splits: Iterable[str]) -> MissingSplitError:
    """The error for a split that does not exist, with those that do."""
    known = ", ".join(sorted(splits)) or "none"
    return MissingSplitError(f"{where} has no split '{split}': it has {known}; name one of these.")


def empty_split(where: Path | str, split: str) -> InputError:
    """The error for a split without images."""
    return InputError(f"Split '{split}' has no images ({where}): add some, or name another split.")
