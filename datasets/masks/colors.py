"""Masks as colors, or with more than 8 bits -> masks of class ids."""

from __future__ import annotations

import csv
import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pocketvision.core.errors import InputError
from pocketvision.datasets.images.header import opened
from pocketvision.datasets.images.read import read_bytes
from pocketvision.datasets.masks.cache import cached_masks, mask_folder_of
from pocketvision.datasets.readers.folders import is_file, read_lines
from pocketvision.datasets.records.annotations import Mask

MaskColor = tuple[int, int, int]
_CLASS_FILES = ("classes.txt", "classes.csv", "class_dict.csv")
_WIDE = ("I;16", "I;16B", "I;16L", "I")
_COLORED = ("RGB", "RGBA")


@dataclass(frozen=True)
class ClassTable:
    """Class names in the order of the mask values; ``colors`` is empty where the file has none."""

    file: Path
    names: tuple[str, ...]
    colors: tuple[MaskColor, ...]


def class_table(root: Path) -> ClassTable | None:
    """``classes.txt``, ``classes.csv`` or ``class_dict.csv``: a name a line, with or without its color.

    Raises:
        InputError: a line is wrong, or a name or color is there twice.
    """
    file = next((root / name for name in _CLASS_FILES if is_file(root / name)), None)
    if file is None:
        return None
    rows = [_row(line) for line in read_lines(file)]
    if len(rows) > 1 and rows[0][1] is None and all(color is not None for _, color in rows[1:]):
        rows = rows[1:]  # a header
    names, colors = tuple(name for name, _ in rows), [color for _, color in rows if color is not None]
    if not names or len(set(names)) < len(names):
        raise InputError(f"{file} must have one name a line, each once.")
    if colors and (len(colors) < len(names) or len(set(colors)) < len(names)):
        raise InputError(
            f"{file} must have a color of its own for every class (name,red,green,blue), or none."
        )
    if any(not 0 <= value <= 255 for color in colors for value in color):
        raise InputError(f"{file} has a color that is not between 0 and 255: correct it.")
    return ClassTable(file, names, tuple(colors))


def _row(line: str) -> tuple[str, MaskColor | None]:
    """Name and color of ``name,r,g,b`` or ``name r g b``; a name may have spaces."""
    fields = next(csv.reader([line])) if "," in line else line.rsplit(maxsplit=3)
    values = [field.strip() for field in fields[1:4]]
    if len(values) < 3 or not all(
        value.isdecimal() and value.isascii() and len(value) < 4 for value in values
    ):
        return (fields[0].strip() if "," in line else line), None
    red, green, blue = (int(value) for value in values)
    return fields[0].strip(), (red, green, blue)


def as_class_ids(mask_paths: list[str], table: ClassTable | None) -> list[str]:
    """Paths of masks of class ids: ``mask_paths`` themselves, or converted copies in the cache.

    Masks with one 8-bit channel stay, palettes too. What the first mask is holds for all.

    Raises:
        InputError: a mask is broken, has a color that is not in the table, or values above 255.
    """
    mode = _mode(mask_paths[0])
    colors = table.colors if table else ()
    if mode in _COLORED and not colors:
        raise InputError(
            f"{mask_paths[0]} has colors: list them beside the names of the classes, as classes.csv in the "
            "data folder with lines of name,red,green,blue, or convert the masks to class ids."
        )
    if mode not in (*_WIDE, *_COLORED):
        return mask_paths
    folder = mask_folder_of("colors" if mode in _COLORED else "wide", colors)
    names = [_name(path) for path in mask_paths]

    def make(index: int) -> Mask:
        path = mask_paths[index]
        pixels = _pixels(path, _COLORED if mode in _COLORED else _WIDE)
        return _by_color(pixels, table, path) if table and mode in _COLORED else _narrow(pixels, path)

    return cached_masks(folder, names, make)


def _by_color(pixels: npt.NDArray[np.int64], table: ClassTable, path: str) -> Mask:
    """(H, W, 3 or more) colors -> (H, W) indices into the table."""
    codes = pixels[..., 0] << 16 | pixels[..., 1] << 8 | pixels[..., 2]
    known = np.array([red << 16 | green << 8 | blue for red, green, blue in table.colors])
    order = np.argsort(known)
    place = np.minimum(np.searchsorted(known[order], codes), len(known) - 1)
    wrong = known[order][place] != codes
    if wrong.any():
        row, column = np.argwhere(wrong)[0].tolist()
        color = ", ".join(str(value) for value in pixels[row, column, :3].tolist())
        raise InputError(
            f"{path} has the color ({color}) in {int(wrong.sum())} pixels, which {table.file} does not "
            "list: add the color, or correct the mask."
        )
    return order[place].astype(np.uint8)


def _narrow(pixels: npt.NDArray[np.int64], path: str) -> Mask:
    if pixels.min() < 0 or pixels.max() > 255:
        raise InputError(
            f"{path} has the value {pixels.max()}: class ids must lie between 0 and 255; renumber them."
        )
    return pixels.astype(np.uint8)


def _mode(path: str) -> str:
    with opened(read_bytes(path), path) as mask:
        return str(mask.mode)


def _pixels(path: str, modes: tuple[str, ...]) -> npt.NDArray[np.int64]:
    with opened(read_bytes(path), path) as mask:
        mask.load()
        mode, values = mask.mode, np.asarray(mask)
    if mode not in modes:
        raise InputError(
            f"{path} has pixels of type {mode}, other masks {modes[0]}: convert all to one type."
        )
    return values.astype(np.int64)


def _name(path: str) -> str:
    """A name for the copy that changes whenever the file does."""
    state = Path(path).stat()
    text = f"{Path(path).resolve()} {state.st_mtime_ns} {state.st_size}"
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:24]
