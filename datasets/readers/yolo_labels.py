"""YOLO's label files: which belongs to which image, and their lines."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from pocketvision.core.errors import InputError
from pocketvision.datasets.readers.image_finder import is_of_another_split
from pocketvision.datasets.readers.pairing import pair
from pocketvision.datasets.readers.text import read_text
from pocketvision.datasets.readers.tree import FileTree
from pocketvision.datasets.readers.values import as_number
from pocketvision.datasets.readers.yolo_layouts import NO_LABELS, YoloLayout
from pocketvision.datasets.records.kinds import (
    ANNOTATION_BROKEN,
    ANNOTATION_ELSEWHERE,
    BOX_CONFIDENCE,
    BOX_FROM_OUTLINE,
    BOX_NOT_FINITE,
    BOX_NOT_NUMBER,
    CLASS_UNKNOWN,
)
from pocketvision.datasets.records.notes import Notes

MAX_FRACTION = 2.0
"""Fractions slightly above 1 are rounding, and clipped; numbers beyond this are pixels."""

YoloBox = tuple[float, float, float, float]


class YoloLine(NamedTuple):
    """A label, its box as shares of the image, and its outline where the line is a polygon."""

    number: int
    label: int
    box: YoloBox
    outline: tuple[float, ...] = ()


def find_labels(
    images: Sequence[Path], split: str, layout: YoloLayout, tree: FileTree, notes: Notes
) -> dict[Path, Path]:
    """Image -> label file: below ``labels`` instead of ``images``, beside the image, or by name elsewhere."""
    found: dict[Path, Path] = {}
    by_folder: dict[Path, list[Path]] = {}
    for image in images:
        by_folder.setdefault(image.parent, []).append(image)
    for folder, own in by_folder.items():
        for place in label_folders(folder, tree):
            rest = [image for image in own if image not in found]
            if rest:
                found |= _exact(rest, _labels_in(tree, place))
    rest = [image for image in images if image not in found]
    if rest:
        taken = set(found.values())
        base = layout.folder if not tree.root.is_relative_to(layout.folder) else tree.root
        others = [
            file
            for folder, _ in tree.walk(base)
            if not is_of_another_split(folder, base, split)
            for file in _labels_in(tree, folder)
            if file not in taken
        ]
        stems = Counter(file.stem for file in others)
        elsewhere = pair(rest, [file for file in others if stems[file.stem] == 1], notes)
        _tell_elsewhere(elsewhere, notes)
        found |= elsewhere
    return found


def _tell_elsewhere(found: dict[Path, Path], notes: Notes) -> None:
    for image, file in found.items():
        if image.stem == file.stem or image.name == file.stem:  # others are told by their name
            sentence = f"{file} lies elsewhere than {image}: put it below labels, as its image lies."
            notes.add(ANNOTATION_ELSEWHERE, file, sentence, "", image)


def label_folders(folder: Path, tree: FileTree) -> list[Path]:
    """Where the labels of a folder's images may lie: in the mirrored folder first, then beside them."""
    parts = folder.parts
    places = []
    for index in range(len(parts) - 1, 0, -1):
        if parts[index].lower() == "images":
            labels = tree.child(Path(*parts[:index]), "labels")
            if labels is not None:
                places.append(labels.joinpath(*parts[index + 1 :]))
            break
    return [*places, folder]


def expected_label(image: Path, tree: FileTree) -> Path:
    """Where the label of an image should be put."""
    return label_folders(image.parent, tree)[0] / f"{image.stem}.txt"


def _labels_in(tree: FileTree, folder: Path) -> list[Path]:
    return [file for file in tree.files(folder, (".txt",)) if file.name.lower() not in NO_LABELS]


def _exact(images: Sequence[Path], labels: Sequence[Path]) -> dict[Path, Path]:
    """By the same name, or by that of the image with its suffix, in any case."""
    by_name: dict[str, Path] = {}
    for label in labels:
        by_name.setdefault(label.stem.lower(), label)
        by_name[label.stem] = label
    found = {}
    for image in images:
        keys = (image.stem, image.name, image.stem.lower(), image.name.lower())
        label_file = next((by_name[key] for key in keys if key in by_name), None)
        if label_file is not None:
            found[image] = label_file
    return found


def read_label(file: Path, layout: YoloLayout, notes: Notes) -> list[YoloLine]:
    """The lines of a label file; those that can't be used are told."""
    notes.read.add(str(file))
    try:
        text = read_text(file, notes)
    except InputError as error:
        notes.add(ANNOTATION_BROKEN, file, str(error))
        return []
    lines = []
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            found = _parse(line.split(), number, file, layout, notes)
            if found is not None:
                lines.append(found)
    return lines


def _parse(fields: list[str], number: int, file: Path, layout: YoloLayout, notes: Notes) -> YoloLine | None:
    if len(fields) == 5 and (plain := _plain(fields, number, layout)) is not None:
        return plain
    where = f"line {number}"
    values = [as_number(field) for field in fields]
    numbers = [value for value in values if value is not None]
    shown = " ".join(fields)[:80]
    if len(numbers) < len(values):
        notes.add(
            BOX_NOT_NUMBER, file, f"{file}, {where} has '{shown}' instead of numbers: correct it.", where
        )
        return None
    if not all(map(math.isfinite, numbers)):
        sentence = f"{file}, {where} has '{shown}', which are no finite numbers: correct it."
        notes.add(BOX_NOT_FINITE, file, sentence, where)
        return None
    label, sides = numbers[0], numbers[1:]
    sides, outline = _shape(sides, file, where, layout, notes)
    if len(sides) != 4:
        what = f"has {len(fields)} columns: write class, x, y, width and height, or class and a polygon."
        notes.add(BOX_NOT_NUMBER, file, f"{file}, {where} {what}", where)
        return None
    names = layout.class_names
    if not (label.is_integer() and 0 <= label < len(names)) or names[int(label)] is None:
        sentence = (
            f"{file}, {where} has class {fields[0][:40]}, but {layout.file} names classes 0 to "
            f"{len(names) - 1}: correct it, or add the name."
        )
        notes.add(CLASS_UNKNOWN, file, sentence, where)
        return None
    x, y, width, height = sides
    return YoloLine(number, int(label), (x, y, width, height), outline)


def _plain(fields: list[str], number: int, layout: YoloLayout) -> YoloLine | None:
    """A line that is as the format has it; None for any other, which takes longer."""
    try:
        label, (x, y, width, height) = int(fields[0]), map(float, fields[1:])
    except ValueError:
        return None
    names = layout.class_names
    is_known = 0 <= label < len(names) and names[label] is not None
    is_finite = math.isfinite(x + y + width + height)
    return YoloLine(number, label, (x, y, width, height)) if is_known and is_finite else None


def _shape(
    sides: list[float], file: Path, where: str, layout: YoloLayout, notes: Notes
) -> tuple[list[float], tuple[float, ...]]:
    """Center and size, and the polygon that they are around; other numbers than four where it is neither."""
    if layout.has_keypoints:
        return sides[:4], ()
    if len(sides) == 5 and 0 <= sides[4] <= 1:  # of a prediction
        sentence = (
            f"{file}, {where} has a number after the box, which is taken for its confidence: remove it."
        )
        notes.add(BOX_CONFIDENCE, file, sentence, where)
        return sides[:4], ()
    if len(sides) < 6 or len(sides) % 2:
        return sides, ()
    notes.add(BOX_FROM_OUTLINE, file, f"{file}, {where}: the box around its polygon is read.", where)
    left, right, top, bottom = min(sides[::2]), max(sides[::2]), min(sides[1::2]), max(sides[1::2])
    return [(left + right) / 2, (top + bottom) / 2, right - left, bottom - top], tuple(sides)
