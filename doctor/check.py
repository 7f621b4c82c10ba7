"""Examine a data set: read everything, note what is wrong, measure what the anchors reach."""

from __future__ import annotations

import time
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from PIL import Image

from pocketvision.core.resize import Resize
from pocketvision.core.structures import Size
from pocketvision.doctor.anchors.reach import AnchorLayout, ImageBoxes, areas_of
from pocketvision.doctor.anchors.summary import report_anchors
from pocketvision.doctor.checks.boxes import CleanBoxes, check_boxes
from pocketvision.doctor.checks.classes import check_classes, training_splits
from pocketvision.doctor.checks.files import (
    BoxFrame,
    check_content,
    check_missing,
    check_names,
    check_unused,
    frame_of,
)
from pocketvision.doctor.checks.images import ImageFacts, inspect_image
from pocketvision.doctor.checks.masks import (
    MaskFacts,
    check_ids,
    check_mask,
    check_pairs,
    class_name,
    class_pixels,
    inspect_mask,
)
from pocketvision.doctor.checks.near_duplicates import check_copies, split_pairs
from pocketvision.doctor.findings import Findings
from pocketvision.doctor.raw.coco import read_raw_coco
from pocketvision.doctor.raw.csv import read_raw_csv
from pocketvision.doctor.raw.folder import read_raw_folder
from pocketvision.doctor.raw.layouts import Layout
from pocketvision.doctor.raw.masks import read_raw_cityscapes, read_raw_mask_folder, read_raw_voc_masks
from pocketvision.doctor.raw.stated import RawClassification, RawDetection, RawSegmentation
from pocketvision.doctor.raw.voc import read_raw_voc
from pocketvision.doctor.raw.yolo import read_raw_yolo
from pocketvision.doctor.report.examination import Report
from pocketvision.doctor.report.samples import detection_samples, mask_samples
from pocketvision.doctor.threads import map_in_threads

DETECTION = {"coco": read_raw_coco, "voc": read_raw_voc, "yolo": read_raw_yolo, "csv": read_raw_csv}
_MASKS = {"cityscapes": read_raw_cityscapes, "voc_masks": read_raw_voc_masks}


@dataclass(frozen=True)
class Plan:
    """What is known of the training beside the data.

    ``anchors`` are a config's; ``crop_size`` is that of segmentation's training crops, half of each image
    if None; ``class_names`` are the model's, None if they are the data's.
    """

    class_names: tuple[str | None, ...] | None = None
    ignore_ids: tuple[int, ...] = ()
    resize: Resize = field(default_factory=lambda: Resize((320, 320)))
    anchors: AnchorLayout | None = None
    crop_size: Size | None = None
    full: bool = False


@dataclass
class Examination:
    """The report with everything that ``--fix`` needs; the members of other tasks are None or empty."""

    report: Report
    facts: dict[str, ImageFacts]
    detection: RawDetection | None = None
    boxes: CleanBoxes | None = None
    frames: list[BoxFrame] = field(default_factory=list)
    segmentation: RawSegmentation | None = None
    masks: list[MaskFacts] = field(default_factory=list)
    cause: str = ""
    classification: RawClassification | None = None


def examine(layout: Layout, plan: Plan) -> Examination:
    """Read and check all of a data set; what is broken becomes a finding."""
    start = time.perf_counter()
    Image.init()  # else threads would load Pillow's plugins at the same time
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, of what becomes findings
        examiners = {
            "detection": _detection,
            "segmentation": _segmentation,
            "classification": _classification,
        }
        examination = examiners[layout.task](layout, plan)
    examination.report.seconds = time.perf_counter() - start
    return examination


def _detection(layout: Layout, plan: Plan) -> Examination:
    findings = Findings()
    data = DETECTION[layout.format](layout.root, findings)
    check_missing(data.images, findings)
    paths = [image.path for image in data.images]
    members = _members((str(image.path), image.splits) for image in data.images if image.exists)
    facts = _inspect([str(image.path) for image in data.images if image.exists], members, plan, findings)
    check_unused(data.folders, set(paths), findings)
    check_names(dict.fromkeys(path for path in paths), data.root, findings)
    frames = [frame_of(image, facts.get(str(image.path)), findings) for image in data.images]
    sizes = np.array([frame.size or (np.nan, np.nan) for frame in frames], dtype=np.float64).reshape(-1, 2)
    boxes = check_boxes(data, sizes, findings)
    counts = _count_boxes(data, boxes)
    check_classes(data.class_names, counts, data.root, findings, plan.class_names)
    report = Report(
        data.root,
        data.format,
        "detection",
        _sizes(members),
        len(data.images),
        "boxes",
        int(boxes.keep.sum()),
        counts,
        findings,
        np.sqrt(areas_of(boxes.boxes[boxes.keep])),
    )
    report.samples = detection_samples(data, boxes, facts)
    report.anchors = report_anchors(_training_boxes(data, boxes, sizes, members), plan.resize, plan.anchors)
    return Examination(report, facts, detection=data, boxes=boxes, frames=frames)


def _segmentation(layout: Layout, plan: Plan) -> Examination:
    findings = Findings()
    if layout.format == "mask_folder":
        data = read_raw_mask_folder(layout.root, findings, plan.class_names, plan.ignore_ids)
    else:
        data = _MASKS[layout.format](layout.root, findings)
    members = _members((str(pair.image), pair.splits) for pair in data.pairs if pair.image.is_file())
    facts = _inspect(list(dict.fromkeys(p for m in members.values() for p in m)), members, plan, findings)
    check_pairs(data, findings)
    check_unused(data.folders, {pair.image for pair in data.pairs}, findings)
    check_names([pair.image for pair in data.pairs], data.root, findings)
    pairs = [pair for pair in data.pairs if pair.mask.is_file()]
    look = partial(inspect_mask, ignored=data.ignored, colors=data.colors, crop_size=plan.crop_size)
    masks = map_in_threads(look, [pair.mask for pair in pairs], "masks")
    for pair, mask in zip(pairs, masks, strict=True):
        check_mask(pair, mask, facts.get(str(pair.image)), data, findings)
    cause = check_ids(pairs, masks, data, findings)
    counts = class_pixels(pairs, masks, data)
    values = [] if data.colors else sorted(data.values or ())
    names = [name for value in values if (name := class_name(value, data)) is not None]
    check_classes(names, counts, data.root, findings, unit="pixels")
    report = Report(
        data.root,
        data.format,
        "segmentation",
        _sizes(members),
        len(data.pairs),
        "pixels",
        class_counts=counts,
        findings=findings,
    )
    report.samples = mask_samples(pairs, masks, facts)
    return Examination(report, facts, segmentation=data, masks=masks, cause=cause)


def _classification(layout: Layout, plan: Plan) -> Examination:
    findings = Findings()
    data = read_raw_folder(layout.root, findings)
    members = _members((str(path), (split,)) for path, _, split in data.images)
    facts = _inspect([str(path) for path, _, _ in data.images], members, plan, findings)
    counts: dict[str, Counter[str]] = {split: Counter() for split in members}
    for _, name, split in data.images:
        counts[split][name] += 1
    check_classes(data.class_names, counts, data.root, findings, plan.class_names, "images")
    report = Report(
        data.root,
        layout.format,
        "classification",
        _sizes(members),
        len(data.images),
        "images",
        class_counts=counts,
        findings=findings,
    )
    return Examination(report, facts, classification=data)


def _inspect(
    paths: Sequence[str], members: dict[str, list[str]], plan: Plan, findings: Findings
) -> dict[str, ImageFacts]:
    """Facts of all images; thumbnails only where two splits are to be compared."""
    look = partial(inspect_image, pixels=plan.full, thumbnail=bool(split_pairs(list(members))))
    found = map_in_threads(look, paths, "images")
    for facts in found:
        check_content(facts, findings)
    facts_of = {facts.path: facts for facts in found}
    check_copies(members, facts_of, findings)
    return facts_of


def _members(images: Iterable[tuple[str, Sequence[str]]]) -> dict[str, list[str]]:
    """Split -> paths, from each path's splits."""
    members: dict[str, list[str]] = {}
    for path, splits in images:
        for split in splits:
            members.setdefault(split, []).append(path)
    return members


def _sizes(members: dict[str, list[str]]) -> dict[str, int]:
    return {split: len(paths) for split, paths in members.items()}


def _count_boxes(data: RawDetection, boxes: CleanBoxes) -> dict[str, Counter[str]]:
    counts: dict[str, Counter[str]] = {split: Counter() for image in data.images for split in image.splits}
    for i in np.flatnonzero(boxes.keep).tolist():
        for split in data.images[data.boxes.owners[i]].splits:
            counts[split][data.class_names[data.boxes.labels[i]]] += 1
    return counts


def _training_boxes(
    data: RawDetection, boxes: CleanBoxes, sizes: np.ndarray, members: dict[str, list[str]]
) -> ImageBoxes:
    """The boxes to train on, of images whose size is known; crowds are never trained on."""
    training = set(training_splits(list(members)))
    is_trained = np.array([bool(training & set(image.splits)) for image in data.images], dtype=np.bool_)
    owners = np.array(data.boxes.owners, dtype=np.int64)
    keep = boxes.keep & ~np.array(data.boxes.crowd, dtype=np.bool_)
    keep[keep] = is_trained[owners[keep]] & np.isfinite(sizes[owners[keep]]).all(axis=1)
    return ImageBoxes(boxes.boxes[keep], owners[keep], np.nan_to_num(sizes, nan=1.0).astype(np.int64))
