"""Boxes for ``--fix``: those of images that stay, scaled to their files, each once, one name a class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from pocketvision.datasets.readers.box_faults import repeated_boxes
from pocketvision.datasets.records.annotations import DetectionRecords
from pocketvision.datasets.records.splits import take
from pocketvision.doctor.checks.classes import same_but_for_case
from pocketvision.doctor.checks.files import SAME_RATIO
from pocketvision.doctor.fixes.images import FixedImage

Readings = Mapping[str, DetectionRecords]


def fix_boxes(readings: Readings, images: Mapping[str, FixedImage]) -> dict[str, DetectionRecords]:
    """The records that are to be written; splits that keep no image are left out."""
    merged = _merge(readings)
    fixed = {}
    for split, records in readings.items():
        kept = [i for i, path in enumerate(records.image_paths) if path in images]
        if kept:
            placed = _placed(take(records, kept), images)
            fixed[split] = _renamed(placed.keep(~_repeated(placed)), merged)
    return fixed


def _repeated(records: DetectionRecords) -> npt.NDArray[np.bool_]:
    """(B,): boxes that equal an earlier one; crowds are not compared."""
    own = np.flatnonzero(~records.crowd)
    repeated = np.zeros(len(records.boxes), dtype=np.bool_)
    repeated[own] = repeated_boxes(records.boxes[own], records.owners()[own], records.labels[own])
    return repeated


def _placed(records: DetectionRecords, images: Mapping[str, FixedImage]) -> DetectionRecords:
    """With the files and sizes of the images that are written, and boxes in their pixels."""
    written = [images[path] for path in records.image_paths]
    sizes = np.array([image.size for image in written], dtype=np.int32).reshape(-1, 2)
    stated = records.sizes.astype(np.float64)
    ratio = stated[:, 1] / stated[:, 0] * sizes[:, 0] / sizes[:, 1]
    factor = np.where((np.abs(ratio - 1) < SAME_RATIO)[:, None], sizes / stated, 1.0)
    owners = records.owners()
    scale = factor[owners][:, [1, 0, 1, 0]]
    limits = sizes[owners][:, [1, 0, 1, 0]]
    boxes = np.clip(records.boxes * scale, 0, limits).astype(np.float32)
    areas = records.areas * factor[owners].prod(axis=1)
    placed = replace(
        records,
        image_paths=[image.path for image in written],
        sizes=sizes,
        boxes=boxes,
        areas=areas,
        rows=None if records.rows is None else np.where((factor == 1).all(axis=1)[owners], records.rows, -1),
    )
    return placed.keep(np.asarray((boxes[:, 2:] > boxes[:, :2]).all(axis=1), dtype=np.bool_))


def _merge(readings: Readings) -> dict[str, str]:
    """Class name -> the most frequent of the names that differ from it by case or spaces only."""
    counts: Counter[str] = Counter()
    names: dict[str, None] = {}
    for records in readings.values():
        used = np.bincount(records.labels, minlength=len(records.class_names)).tolist()
        own = {name: count for name, count in zip(records.class_names, used, strict=True) if name is not None}
        counts.update(own)
        names |= dict.fromkeys(own)
    merged = {name: name for name in names}
    for variants in same_but_for_case(list(names)):
        best = max(variants, key=lambda name: counts[name])
        merged |= dict.fromkeys(variants, best)
    return merged


def _renamed(records: DetectionRecords, merged: Mapping[str, str]) -> DetectionRecords:
    if all(merged.get(str(name), name) == name for name in records.class_names):
        return records
    old = [None if name is None else merged[name] for name in records.class_names]
    own = [name for name, new in zip(records.class_names, old, strict=True) if name == new]
    names = tuple(dict.fromkeys((*own, *old)))
    ids = dict(zip(records.class_names, records.category_ids, strict=True))
    label_of = np.array([names.index(name) for name in old], dtype=np.int64)
    return replace(
        records,
        labels=label_of[records.labels],
        class_names=names,
        category_ids=tuple(-1 if name is None else ids.get(name, -1) for name in names),
    )
