"""Sizes of images that annotations do not state."""

from __future__ import annotations

from pathlib import Path

from pocketvision.core.errors import InputError
from pocketvision.core.structures import Size
from pocketvision.datasets.images.read import read_size
from pocketvision.datasets.records.kinds import IMAGE_UNREADABLE
from pocketvision.datasets.records.notes import Notes


def find_size(path: str | Path, notes: Notes) -> Size | None:
    """(height, width) of an image as a person sees it; None, which is told, where it can't be read.

    Raises:
        InputError: it can't be read, and ``notes`` are strict.
    """
    try:
        return read_size(str(path))
    except InputError as error:
        notes.add(IMAGE_UNREADABLE, path, str(error))
        return None
