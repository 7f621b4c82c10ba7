"""``--fix``: a cleaned copy of a data set, read again as training does. The originals are only read."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from pocketvision.core.errors import InputError
from pocketvision.core.files import check_empty
from pocketvision.datasets.convert.common import (
    ConversionTarget,
    check_split_names,
    new_folder,
    prepare_splits,
)
from pocketvision.datasets.format_modules import data_module_of, training_records
from pocketvision.datasets.formats import format_named
from pocketvision.datasets.formats.detect import FoundData, detect_format
from pocketvision.datasets.records.annotations import (
    AnyRecords,
    ClassificationRecords,
    DetectionRecords,
    SegmentationRecords,
)
from pocketvision.datasets.records.splits import take
from pocketvision.doctor.check import Examination
from pocketvision.doctor.checks.classes import training_splits
from pocketvision.doctor.fixes.boxes import fix_boxes
from pocketvision.doctor.fixes.images import FixedImage, fix_images
from pocketvision.doctor.fixes.masks import mended_lookup, usable_masks, write_masks
from pocketvision.doctor.fixes.outlines import keep_outlines
from pocketvision.doctor.kinds import KINDS

Contents = dict[str, tuple[int, Counter[str]]]
"""Split -> its number of images, and boxes or images by class."""


def check_output(root: Path, output: Path) -> None:
    """Refuse an output folder that has something in it, or lies inside the data set.

    Raises:
        InputError: it does.
    """
    if output.resolve().is_relative_to(root.resolve()):
        raise InputError(f"{output} lies inside {root}: choose a folder outside of it for --fix.")
    check_empty(output, "--fix")


def write_fixed(examination: Examination, output: Path) -> list[str]:
    """Write the cleaned copy; returns what was done about each kind of finding, and what it holds.

    It is written beside ``output`` and moved there once it was read as training reads it, and holds what
    it should.

    Raises:
        InputError: ``output`` is not empty, nothing would be left, or the copy is not as it should be.
    """
    report = examination.report
    check_output(report.root, output)
    check_split_names(examination.readings)
    images = [path for records in examination.readings.values() for path in records.image_paths]
    with tempfile.TemporaryDirectory(prefix="pocketvision-fix-") as scratch:
        fixed = fix_images(images, examination.facts, Path(scratch), report.pixels.pixels)
        with new_folder(output) as folder:
            lines, expected = _write(examination, fixed, folder)
            _compare(expected, folder, examination.found)
    kinds = [(kind, report.findings.counts[name]) for name, kind in KINDS.items()]
    done = [f"{kind.title} ({count}): {kind.fix}" for kind, count in kinds if count and kind.fix]
    return [*done, *lines, *_differences(examination.readings, expected)]


def _write(
    examination: Examination, images: Mapping[str, FixedImage], folder: Path
) -> tuple[list[str], Contents]:
    """Write the copy; lines about its format, and what it must hold."""
    task, root = examination.found.task, examination.report.root
    nothing = InputError(
        f"{root} has no image for training with annotations that can be used: there is nothing to write."
    )
    if task == "detection":
        readings = {s: r for s, r in examination.readings.items() if isinstance(r, DetectionRecords)}
        boxes = fix_boxes(readings, images)
        if not boxes or not any(len(boxes[split].boxes) for split in training_splits(boxes)):
            raise nothing
        return _write_boxes(examination, boxes, folder)
    if task == "segmentation":
        masks = _usable(examination, images)
        if not masks:
            raise nothing
        lookups = {s: mended_lookup(r.lookup, r.class_names, examination.cause) for s, r in masks.items()}
        write_masks(masks, lookups, images, folder)
        is_same = examination.found.format == "mask_folder"
        return ([] if is_same else ["written as folders of images and masks"]), contents(masks)
    labels = {s: r for s, r in examination.readings.items() if isinstance(r, ClassificationRecords)}
    kept = {s: take(r, [i for i, p in enumerate(r.image_paths) if p in images]) for s, r in labels.items()}
    kept = {split: records for split, records in kept.items() if len(records)}
    if not kept:
        raise nothing
    _write_folders(kept, images, folder)
    return [], contents(kept)


def _write_boxes(
    examination: Examination, splits: Mapping[str, DetectionRecords], folder: Path
) -> tuple[list[str], Contents]:
    source = format_named(examination.found.format)
    form = source if source.write is not None else format_named("coco")
    assert form.write is not None
    common, lines = prepare_splits(splits, form.write)
    form.write.write(common, ConversionTarget(folder, copy_images=True))
    if source.name == "coco":
        lines += keep_outlines(examination.found.layout, common, folder)
    if form is not source:
        lines = [f"written as COCO: {source.name} is not written", *lines]
    return lines, contents(common)


def _usable(examination: Examination, images: Mapping[str, FixedImage]) -> dict[str, SegmentationRecords]:
    kept = {}
    for split, records in examination.readings.items():
        assert isinstance(records, SegmentationRecords)
        indices = usable_masks(records, examination.masks[split], examination.cause, images)
        if indices:
            kept[split] = take(records, indices)
    return kept


def _write_folders(
    splits: Mapping[str, ClassificationRecords], images: Mapping[str, FixedImage], folder: Path
) -> None:
    """``{split}/{class}/``; a class without images keeps its folder, and so its number."""
    for split, records in splits.items():
        base = folder if set(splits) == {"all"} else folder / split
        for name in records.class_names:
            (base / str(name)).mkdir(parents=True, exist_ok=True)
        taken: set[Path] = set()
        for path, label in zip(records.image_paths, records.labels.tolist(), strict=True):
            fixed = images[path].path
            target = base / str(records.class_names[label]) / Path(fixed).name
            number = 2
            while target in taken:
                target = target.with_stem(f"{Path(fixed).stem}_{number}")
                number += 1
            taken.add(target)
            shutil.copyfile(fixed, target)


def contents(readings: Mapping[str, AnyRecords]) -> Contents:
    """What splits hold; of masks only the images are counted."""
    found: Contents = {}
    for split, records in readings.items():
        counts: Counter[str] = Counter()
        if not isinstance(records, SegmentationRecords):
            used = np.bincount(records.labels, minlength=len(records.class_names)).tolist()
            rows = zip(records.class_names, used, strict=True)
            counts.update({name: count for name, count in rows if name is not None and count})
        found[split] = len(records), counts
    return found


def _compare(expected: Contents, folder: Path, source: FoundData) -> None:
    """Read the copy as training does, and refuse one that does not hold what was to be written.

    Raises:
        InputError: it can't be read, or holds something else.
    """
    found = detect_format(folder, source.task)
    written = contents({split: found.read(split) for split in found.splits})
    if len(written) == len(expected) == 1:  # a split of an unusual name may have become all of the set
        written = dict(zip(expected, written.values(), strict=True))
    if written != expected:
        raise InputError(
            f"The cleaned copy holds {_text(written)} instead of {_text(expected)}, so it is not kept: "
            "please report this data set."
        )
    try:
        training_records(data_module_of(found)(num_workers=0))
    except InputError as error:
        problem = str(error).replace(str(folder), "the copy")
        raise InputError(f"{source.root} has nothing to write that could be trained on: {problem}") from None


def _differences(readings: Mapping[str, AnyRecords], expected: Contents) -> list[str]:
    """A line a split: what the copy holds of what could be read."""
    lines = []
    for split, (num_images, counts) in contents(readings).items():
        kept_images, kept = expected.get(split, (0, Counter()))
        line = f"{split}: {kept_images} of {num_images} images"
        if counts or kept:
            line += f", {kept.total()} of {counts.total()} " + (
                "boxes" if isinstance(readings[split], DetectionRecords) else "labels"
            )
        changed = [n for n in sorted(counts.keys() | kept.keys()) if counts[n] != kept[n]]
        shown = ", ".join(f"'{name}' {kept[name]} of {counts[name]}" for name in changed[:10])
        lines.append(f"{line} ({shown})" if changed else line)
    return lines


def _text(found: Contents) -> str:
    return "; ".join(
        f"{split} {count} images, {counts.total()} boxes" for split, (count, counts) in found.items()
    )
