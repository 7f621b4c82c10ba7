"""Files that name the classes of masks, with or without their colors."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from pocketvision.core.errors import InputError
from pocketvision.datasets.readers.text import read_lines
from pocketvision.datasets.readers.tree import FileTree

MaskColor = tuple[int, int, int]
_FILES = ("classes.txt", "classes.csv", "class_dict.csv", "class_names.txt", "labelmap.txt", "label_map.txt",
          "_classes.csv")  # fmt: skip


@dataclass(frozen=True)
class ClassTable:
    """Class names in the order of the mask values; ``colors`` is empty where the file has none."""

    file: Path
    names: tuple[str, ...]
    colors: tuple[MaskColor, ...]


def class_table(tree: FileTree) -> ClassTable | None:
    """A name a line, with or without its color; CVAT's ``name:r,g,b::`` and Roboflow's ``value, name`` too.

    Raises:
        InputError: a line is wrong, or a name or color is there twice.
    """
    folders = [tree.root, *tree.folders(tree.root)]
    file = next((path for f in folders for name in _FILES if tree.is_file(path := f / name)), None)
    return None if file is None else read_class_table(file)


def read_class_table(file: Path) -> ClassTable:
    """The names and colors of one file.

    Raises:
        InputError: a line is wrong, or a name or color is there twice.
    """
    lines = [line for line in read_lines(file) if not line.startswith("#")]
    rows = _by_value(lines) if file.name == "_classes.csv" else [_row(line, file) for line in lines]
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


def _row(line: str, file: Path) -> tuple[str, MaskColor | None]:
    """Name and color of ``name,r,g,b``, ``name r g b`` or ``name:r,g,b::``; names may have spaces, commas."""
    name, _, rest = line.partition(":")
    if (color := _color(rest.partition(":")[0].split(","))) is not None:
        return name.strip(), color
    try:
        fields = next(csv.reader([line])) if "," in line else line.rsplit(maxsplit=3)
    except csv.Error as error:
        raise InputError(f"{file} is no valid CSV ({error}): write one class name a line.") from None
    if len(fields) >= 4 and (color := _color(fields[1:4])) is not None:
        return fields[0].strip(), color
    is_table = file.suffix.lower() == ".csv"
    return (fields[0].strip() if is_table and "," in line else line), None


def _color(fields: list[str]) -> MaskColor | None:
    values = [field.strip() for field in fields]
    if len(values) != 3 or not all(v.isdecimal() and v.isascii() and len(v) < 4 for v in values):
        return None
    return int(values[0]), int(values[1]), int(values[2])


def _by_value(lines: list[str]) -> list[tuple[str, MaskColor | None]]:
    """Roboflow's ``Pixel Value, Class``, by the values."""
    rows = [line.partition(",")[::2] for line in lines]
    values = {
        int(value): name.strip() for value, name in rows if value.strip().isdecimal() and len(value) < 5
    }
    return [(values.get(i, f"class_{i}"), None) for i in range(max(values, default=-1) + 1)]
