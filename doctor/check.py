"""Examine a data set: read it as training does, note what is wrong, measure what the anchors reach."""

from __future__ import annotations

import time
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from pocketvision.core.errors import InputError
from pocketvision.core.resize import PixelFormat, Resize
from pocketvision.core.structures import Size
from pocketvision.datasets.format_modules import data_module_of, training_records
from pocketvision.datasets.formats import format_named
from pocketvision.datasets.formats.detect import FoundData
from pocketvision.datasets.formats.leftover import tell_leftover
from pocketvision.datasets.images.likeness import MAX_GROUPED
from pocketvision.datasets.images.survey import EIGHT_BIT_RGB
from pocketvision.datasets.records.annotations import (
    AnyRecords,
    ClassificationRecords,
    DetectionRecords,
    SegmentationRecords,
)
from pocketvision.datasets.records.kinds import ANNOTATION_BROKEN
from pocketvision.datasets.records.notes import Notes
from pocketvision.doctor import kinds
from pocketvision.doctor.anchors.points import report_points
from pocketvision.doctor.anchors.reach import AnchorLayout, areas_of, training_boxes
from pocketvision.doctor.anchors.summary import report_anchors
from pocketvision.doctor.anchors.tiles import suggest_tiles
from pocketvision.doctor.checks.classes import check_classes, training_splits
from pocketvision.doctor.checks.detail import advise_mask_tiles
from pocketvision.doctor.checks.files import check_content, check_names, check_stated_sizes
from pocketvision.doctor.checks.images import ImageFacts, inspect_image
from pocketvision.doctor.checks.masks import (
    MaskFacts,
    check_masks,
    class_pixels,
    diagnose_ids,
    inspect_mask,
)
from pocketvision.doctor.checks.near_duplicates import (
    check_clips,
    check_copies,
    check_division,
    split_pairs,
)
from pocketvision.doctor.checks.pixels import pixels_of
from pocketvision.doctor.checks.shapes import advise
from pocketvision.doctor.findings import Findings
from pocketvision.doctor.report.examination import Report
from pocketvision.doctor.report.samples import detection_samples, mask_samples
from pocketvision.doctor.threads import map_in_threads

_READ_AGAIN = 20_000
"""Images up to which the data are read a second time, as training does."""
UNITS = {"detection": "boxes", "segmentation": "pixels", "classification": "images"}


@dataclass(frozen=True)
class Plan:
    """What is known of the training beside the data.

    ``anchors`` are a config's; ``crop_size`` is that of segmentation's training crops, half of each image
    if None; ``class_names`` are the model's, None if they are the data's. ``pixels`` are what it reads
    pictures as, None for what is found.
    """

    class_names: tuple[str | None, ...] | None = None
    ignore_ids: tuple[int, ...] = ()
    resize: Resize = field(default_factory=lambda: Resize((320, 320)))
    anchors: AnchorLayout | None = None
    crop_size: Size | None = None
    full: bool = False
    pixels: PixelFormat | None = None


@dataclass
class Examination:
    """The report with everything that ``--fix`` needs.

    Attributes:
        readings: split -> its records, without what can't be used.
        facts: image path -> what its file is.
        masks: split -> facts of its masks, in the order of the records.
        cause: the kind of finding that explains the ids of all masks, or empty.
    """

    found: FoundData
    report: Report
    readings: dict[str, AnyRecords]
    facts: dict[str, ImageFacts]
    masks: dict[str, list[MaskFacts]] = field(default_factory=dict)
    cause: str = ""


def examine(found: FoundData, plan: Plan) -> Examination:
    """Read and check all of a data set; what is broken becomes a finding."""
    start = time.perf_counter()
    found = _as_planned(found, plan)
    Image.init()  # else threads would load Pillow's plugins at the same time
    findings = Findings()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, of what becomes findings
        readings = _read(found, plan, findings)
        members = {split: list(records.image_paths) for split, records in readings.items()}
        paths = list(dict.fromkeys(path for own in members.values() for path in own))
        root = found.layout.tree.root
        pixels = pixels_of(readings, plan.pixels, root, findings)
        is_config = plan.pixels is not None
        plan = replace(plan, pixels=None if pixels is None else pixels.pixels)
        facts = _inspect(paths, members, found.arguments.get("divide"), plan, findings)
        advice = advise(readings, {path: own.upright_size for path, own in facts.items()})
        if advice is not None and not is_config:
            plan = replace(plan, resize=replace(plan.resize, mode=advice.mode))
        check_names(paths, root, findings)
        sizes = {split: len(records) for split, records in readings.items()}
        unit = UNITS[found.task]
        report = Report(root, found.format, found.task, sizes, len(paths), unit, findings=findings)
        report.pixels = pixels or EIGHT_BIT_RGB
        examination = Examination(found, report, readings, facts)
        checks = {
            "detection": _check_boxes,
            "segmentation": _check_masks,
            "classification": _check_labels,
        }
        checks[found.task](examination, plan)
        report.resize = None if report.tiles else advice  # tiles have one shape
        if not findings.num("error"):
            _read_as_training(found, readings, findings)
    report.seconds = time.perf_counter() - start
    return examination


def _as_planned(found: FoundData, plan: Plan) -> FoundData:
    """With a config's class names, where the format's reading takes some."""
    if plan.class_names is None or "class_names" not in format_named(found.format).options:
        return found
    stated = {"class_names": plan.class_names, "ignore_ids": plan.ignore_ids}
    return replace(found, arguments={**found.arguments, **stated})


def file_of(found: FoundData, split: str) -> Path:
    """The annotation file of a split, or the folder where there are many."""
    source = found.layout.splits.get(split)
    return source if isinstance(source, Path) else found.layout.tree.root


def _read(found: FoundData, plan: Plan, findings: Findings) -> dict[str, AnyRecords]:
    """All splits that can be read, and what their reader tells."""
    readings: dict[str, AnyRecords] = {}
    told: list[Notes] = []
    for split in found.splits:
        notes = Notes(strict=False)
        try:
            readings[split] = found.read(split, notes)
        except InputError as error:
            _add_error(found, split, error, findings)
        findings.notes.extend(notes.as_notes())
        told.append(notes)
    for split, sentence in found.layout.broken.items():
        findings.notes.add(kinds.SPLIT_MISSING, found.layout.place or found.root, sentence, split)
    left = Notes(strict=False)
    tell_leftover(found.layout, readings.values(), told, left)
    findings.notes.extend(left.as_notes())
    if found.task == "segmentation" and "class_names" in found.arguments and plan.class_names is None:
        root = found.layout.tree.root
        sentence = (
            f"{root} does not say what its classes are called, so that unexpected ids can't be told: write "
            f"the names into {root / 'classes.txt'}, a line each by their ids, or check a config."
        )
        findings.notes.add(kinds.CLASS_NAMES_MISSING, root, sentence)
    return readings


def _read_as_training(found: FoundData, readings: Mapping[str, AnyRecords], findings: Findings) -> None:
    """The last word is what ``train --data`` says when it reads the data.

    Very many files are not read twice: the same function has read them, and told of no error.
    """
    data = data_module_of(found)(num_workers=0)
    if sum(map(len, readings.values())) > _READ_AGAIN:
        data.read_split = readings.__getitem__  # type: ignore[assignment, method-assign]
    try:
        training_records(data)
    except InputError as error:
        findings.notes.add(kinds.NOT_READ, found.root, str(error))


def _add_error(found: FoundData, split: str, error: InputError, findings: Findings) -> None:
    """A split that can't be read at all; the file is what the sentence begins with."""
    file = file_of(found, split)
    sentence = str(error) if str(error).startswith(str(file)) else f"{file}: {error}"
    findings.notes.add(ANNOTATION_BROKEN, file, sentence, split)


def _inspect(
    paths: Sequence[str],
    members: dict[str, list[str]],
    divided: str | None,
    plan: Plan,
    findings: Findings,
) -> dict[str, ImageFacts]:
    """Facts of all images; thumbnails only where images are to be compared."""
    whole = members.get(divided or "", [])
    is_divided = 0 < len(whole) <= MAX_GROUPED
    is_compared = is_divided or bool(split_pairs(list(members)))
    look = partial(inspect_image, pixels=plan.full, thumbnail=is_compared, read_as=plan.pixels)
    found = map_in_threads(look, paths, "images")
    for facts in found:
        check_content(facts, findings, plan.pixels)
    facts_of = {facts.path: facts for facts in found}
    check_copies(members, facts_of, findings)
    if is_divided:
        check_division(whole, facts_of, findings)
    if len(paths) <= MAX_GROUPED:
        check_clips(members, facts_of, findings)
    return facts_of


def _check_boxes(examination: Examination, plan: Plan) -> None:
    report, findings = examination.report, examination.report.findings
    readings = {s: r for s, r in examination.readings.items() if isinstance(r, DetectionRecords)}
    names: dict[str, None] = {}
    for split, records in readings.items():
        check_stated_sizes(records, file_of(examination.found, split), examination.facts, findings)
        names |= dict.fromkeys(name for name in records.class_names if name is not None)
        report.class_counts[split] = _count(records, records.labels[~records.crowd])
        _check_zero(examination.found, split, records, findings)
    check_classes(list(names), report.class_counts, report.root, findings, plan.class_names)
    boxes = np.concatenate([r.boxes[~r.crowd] for r in readings.values()] or [np.zeros((0, 4), np.float32)])
    report.num_boxes = len(boxes)
    report.sides = np.sqrt(areas_of(boxes.astype(np.float64)))
    report.samples = detection_samples(readings, examination.facts)
    trained = [readings[split] for split in training_splits(readings)]
    if trained and not any(len(records.boxes) for records in trained):
        sentence = f"{report.root} has images for training, but no box on any of them: annotate some."
        findings.notes.add(kinds.NO_BOX, report.root, sentence)
    own = training_boxes(trained)
    report.anchors = report_anchors(own, plan.resize, plan.anchors)
    if len(own.boxes):
        report.points = report_points(own, plan.resize)
        report.tiles = suggest_tiles(own, plan.resize.image_size)


def _check_masks(examination: Examination, plan: Plan) -> None:
    report, findings = examination.report, examination.report.findings
    readings = {s: r for s, r in examination.readings.items() if isinstance(r, SegmentationRecords)}
    names: tuple[str | None, ...] = ()
    for split, records in readings.items():
        look = partial(inspect_mask, lookup=records.lookup, crop_size=plan.crop_size)
        examination.masks[split] = map_in_threads(look, list(records.mask_paths), "masks")
        names = records.class_names
    every = [mask for masks in examination.masks.values() for mask in masks]
    is_cityscapes = examination.found.format == "cityscapes"
    examination.cause = diagnose_ids(list(readings.values()), every, is_cityscapes)
    for split, records in readings.items():
        check_masks(records, examination.masks[split], examination.cause, findings)
        report.class_counts[split] = class_pixels(records, examination.masks[split])
    if not examination.cause:
        known = [name for name in names if name is not None]
        check_classes(known, report.class_counts, report.root, findings, unit="pixels")
        report.tiles = advise_mask_tiles(readings)
    report.samples = mask_samples(readings, examination.masks, examination.facts)


def _check_labels(examination: Examination, plan: Plan) -> None:
    report = examination.report
    names: dict[str, None] = {}
    for split, records in examination.readings.items():
        assert isinstance(records, ClassificationRecords)
        names |= dict.fromkeys(name for name in records.class_names if name is not None)
        report.class_counts[split] = _count(records, records.labels)
    check_classes(
        sorted(names), report.class_counts, report.root, report.findings, plan.class_names, "images"
    )


def _check_zero(found: FoundData, split: str, records: DetectionRecords, findings: Findings) -> None:
    if found.format == "coco" and 0 in records.category_ids:
        file, name = file_of(found, split), records.class_names[records.category_ids.index(0)]
        sentence = (
            f"{file}: category '{name}' has id 0, which many programs take for the background (not this "
            "one): count ids from 1 if others read the file."
        )
        findings.notes.add(kinds.CLASS_ZERO, file, sentence, "category 0")


def _count(records: DetectionRecords | ClassificationRecords, labels: np.ndarray) -> Counter[str]:
    counts = np.bincount(labels, minlength=len(records.class_names)).tolist()
    return Counter(
        {name: count for name, count in zip(records.class_names, counts, strict=True) if name and count}
    )
