"""Boxes of a whole data set at once: conventions, corners, limits, areas, repetitions."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pocketvision.doctor.findings import Findings, FoundBox
from pocketvision.doctor.raw.conventions import CONVENTIONS, Sizes, StatedBoxes, guess_convention
from pocketvision.doctor.raw.stated import RawDetection

Flags = npt.NDArray[np.bool_]
_MIN_OWN = 4
_BEYOND = 1.0


@dataclass
class CleanBoxes:
    """The boxes as they should be: ``boxes`` (B, 4) xyxy pixels of their frames, clipped; ``keep`` (B,)."""

    boxes: StatedBoxes
    keep: Flags


def check_boxes(data: RawDetection, sizes: Sizes, findings: Findings) -> CleanBoxes:
    """Findings about boxes, and their cleaned form.

    ``sizes`` are (N, 2): height and width of the frame of each image, NaN where unknown.
    """
    values, owners = data.boxes.array(), np.array(data.boxes.owners, dtype=np.int64)
    broken = np.array(data.boxes.is_broken, dtype=np.bool_)
    own_sizes = np.full((len(values), 2), np.nan)
    own_sizes[owners >= 0] = sizes[owners[owners >= 0]]
    finite = np.isfinite(values).all(axis=1)
    boxes = _decode(data, np.where((finite & ~broken)[:, None], values, np.nan), own_sizes, findings)
    usable = np.isfinite(boxes).all(axis=1) & ~broken
    _report_not_finite(data, ~finite & ~broken, findings)
    swapped = usable & (boxes[:, :2] > boxes[:, 2:]).any(axis=1)
    boxes = _sort(boxes, one=1.0 if data.convention == "voc" else 0.0)
    flat = usable & (boxes[:, 2:] <= boxes[:, :2]).any(axis=1)
    limits = np.concatenate((own_sizes[:, ::-1], own_sizes[:, ::-1]), axis=1)
    clipped = np.clip(boxes, 0.0, np.where(np.isnan(limits), np.inf, limits))
    outside = usable & ~flat & (np.abs(clipped - boxes) > _BEYOND).any(axis=1)
    empty = usable & ~flat & (clipped[:, 2:] <= clipped[:, :2]).any(axis=1)
    keep = usable & ~flat & ~empty
    twice = _repeated(
        clipped, owners, np.array(data.boxes.labels), keep, np.array(data.boxes.crowd, dtype=np.bool_)
    )
    report = _Report(data, boxes, own_sizes, findings)
    report("box_swapped", swapped, "its corners are swapped; sort them.")
    report("box_without_area", flat, "it has no area; draw it again, or remove it.")
    report("box_outside", outside & keep, "it reaches outside its image; clip it.")
    report("box_outside", empty, "it lies wholly outside its image; remove it.")
    report("box_twice", twice, "the same box of the same class is there before; remove one.")
    return CleanBoxes(clipped, keep & ~twice)


def _decode(data: RawDetection, values: StatedBoxes, sizes: Sizes, findings: Findings) -> StatedBoxes:
    """xyxy pixels by the convention that each file follows."""
    boxes = CONVENTIONS[data.convention].decode(values, sizes)
    for rows in _groups(data).values():
        believed = guess_convention(values[rows], sizes[rows], data.convention)
        if believed == data.convention:
            continue
        boxes[rows] = CONVENTIONS[believed].decode(values[rows], sizes[rows])
        first = int(rows[0])
        file = data.boxes.files[first]
        shown = data.images[data.boxes.owners[first]].path if data.boxes.owners[first] >= 0 else None
        findings.add(
            "box_convention",
            file,
            f"{file}: most of its boxes lie inside their images only if their numbers are "
            f"{CONVENTIONS[believed].text}, not {CONVENTIONS[data.convention].text} as this format has them: "
            "convert them.",
            f"{len(rows)} boxes, first {data.boxes.where[first]}",
            shown,
            [_box(boxes[first])],
        )
    return boxes


def _sort(boxes: StatedBoxes, one: float) -> StatedBoxes:
    """Corners in order; VOC counts a box's first pixel from 1 and so moves its first corner by ``one``."""
    first, second = boxes[:, :2], boxes[:, 2:]
    is_swapped = first > second
    low, high = np.where(is_swapped, second - one, first), np.where(is_swapped, first + one, second)
    return np.concatenate((low, high), axis=1)


def _groups(data: RawDetection) -> dict[Path, npt.NDArray[np.int64]]:
    """Rows by annotation file; files with few boxes are judged together with those of their folder."""
    rows: dict[Path, list[int]] = defaultdict(list)
    for i, file in enumerate(data.boxes.files):
        rows[file].append(i)
    groups: dict[Path, list[int]] = defaultdict(list)
    for file, own in rows.items():
        groups[file if len(own) >= _MIN_OWN else file.parent] += own
    return {place: np.array(own) for place, own in groups.items()}


def _report_not_finite(data: RawDetection, where: Flags, findings: Findings) -> None:
    for i in np.flatnonzero(where).tolist():
        file, place = data.boxes.files[i], data.boxes.where[i]
        numbers = ", ".join(str(value) for value in data.boxes.values[i])
        sentence = f"{file}, {place}: its numbers are {numbers}; correct or remove it."
        findings.add("box_not_finite", file, sentence, place, data.images[data.boxes.owners[i]].path)


def _repeated(
    boxes: StatedBoxes,
    owners: npt.NDArray[np.int64],
    labels: npt.NDArray[np.int64],
    keep: Flags,
    crowd: Flags,
) -> Flags:
    """Boxes that equal an earlier one of their image and class, to a hundredth of a pixel."""
    rows = np.flatnonzero(keep & ~crowd)
    table = np.column_stack((owners[rows], labels[rows], np.round(boxes[rows] * 100).astype(np.int64)))
    _, first = np.unique(table, axis=0, return_index=True)
    repeated = np.zeros(len(boxes), dtype=np.bool_)
    repeated[rows] = True
    repeated[rows[first]] = False
    return repeated


@dataclass
class _Report:
    data: RawDetection
    boxes: StatedBoxes
    sizes: Sizes
    findings: Findings

    def __call__(self, kind: str, where: Flags, what: str) -> None:
        raw = self.data.boxes
        for i in np.flatnonzero(where).tolist():
            image, box = self.data.images[raw.owners[i]], _box(self.boxes[i])
            numbers = ", ".join(f"{value:g}" for value in raw.values[i])
            height, width = self.sizes[i]
            size = "" if np.isnan(height) else f" in an image of {width:.0f}x{height:.0f}"
            sentence = f"{raw.files[i]}, {raw.where[i]}: the box ({numbers}){size}: {what}"
            self.findings.add(kind, raw.files[i], sentence, raw.where[i], image.path, [box])


def _box(row: npt.NDArray[np.float64]) -> FoundBox:
    left, top, right, bottom = (float(value) for value in row)
    return left, top, right, bottom
