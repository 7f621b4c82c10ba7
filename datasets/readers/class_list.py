"""Class names of data sets whose annotations hold names: sorted, or in the order of ``classes.txt``."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

from pocketvision.core.errors import InputError
from pocketvision.datasets.readers.text import read_lines
from pocketvision.datasets.readers.tree import FileTree
from pocketvision.datasets.records.notes import Notes

NAME_FILES = ("classes.txt", "classes.csv")


def ordered_names(tree: FileTree, used: Iterable[str]) -> tuple[str, ...]:
    """The names in ``classes.txt`` (one a line) or ``classes.csv`` (name,id), else ``used``, sorted.

    Raises:
        InputError: a used name is not in that file, or a name is in it twice.
    """
    found = sorted(set(used))
    file = next((path for name in NAME_FILES if tree.is_file(path := tree.root / name)), None)
    if file is None:
        return tuple(found)
    names = read_names(file)
    missing = [name for name in found if name not in set(names)]
    if missing:
        raise InputError(
            f"{file} has no class '{missing[0]}', but annotations have: add it, or remove the file if it is "
            "not the list of classes."
        )
    return names


def read_names(file: Path, notes: Notes | None = None) -> tuple[str, ...]:
    """One name a line; of lines with commas in a ``.csv`` the first field.

    Raises:
        InputError: there is none, or one is there twice.
    """
    lines = read_lines(file, notes)
    try:
        is_table = file.suffix.lower() == ".csv"
        names = [row[0].strip() for row in csv.reader(lines) if row] if is_table else lines
    except csv.Error as error:
        raise InputError(f"{file} is no valid CSV ({error}): write one class name a line.") from None
    if not names or len(set(names)) < len(names):
        raise InputError(f"{file} must have one name a line, each once.")
    return tuple(names)
