"""Masks against their images and classes: formats, ids, and how much of them is void."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from pocketvision.core.errors import InputError
from pocketvision.core.structures import IGNORE_INDEX, Size
from pocketvision.datasets.formats.cityscapes import CITYSCAPES_NAMES, NUM_LABEL_IDS
from pocketvision.datasets.images.header import file_header
from pocketvision.datasets.images.read import read_mask
from pocketvision.datasets.records.annotations import UNEXPECTED, Mask, SegmentationRecords
from pocketvision.doctor import kinds
from pocketvision.doctor.findings import Findings

_NUM_TRAIN_IDS = 19
MANY_VOID_CROPS = 0.5
"""Share of the crops of an image that would be void all over from which on it is reported."""


class MaskFacts(NamedTuple):
    """What is known of a mask of class ids.

    ``counts`` (256,) are pixels by value, None where it can't be read; ``void_crops`` is a share, 0 where
    nothing is void.
    """

    size: Size | None = None
    format: str = ""
    counts: npt.NDArray[np.int64] | None = None
    void_crops: float = 0.0
    problem: str = ""

    @property
    def values(self) -> list[int]:
        """The values that occur, ascending."""
        return [] if self.counts is None else np.flatnonzero(self.counts).tolist()


def inspect_mask(path: str, lookup: Mask, crop_size: Size | None) -> MaskFacts:
    """Facts of a mask file, whose pixels are always read; never raises."""
    try:
        name, values = file_header(path).format, read_mask(path)
    except InputError as error:
        return MaskFacts(problem=str(error).removeprefix(path).strip().partition(": ")[0])
    counts = np.bincount(values.ravel(), minlength=256)
    is_void = lookup == IGNORE_INDEX
    share = _void_crops(values, is_void, crop_size) if counts[is_void].any() else 0.0
    return MaskFacts((values.shape[0], values.shape[1]), name, counts, share)


def _void_crops(values: Mask, is_void: npt.NDArray[np.bool_], crop_size: Size | None) -> float:
    """Share of crops, of half the mask's sides if no size is given, in which every pixel is ignored."""
    height, width = crop_size or (max(1, values.shape[0] // 2), max(1, values.shape[1] // 2))
    height, width = min(height, values.shape[0]), min(width, values.shape[1])
    sums = cv2.integral((~is_void)[values].astype(np.uint8))
    inside = sums[height:, width:] - sums[:-height, width:] - sums[height:, :-width] + sums[:-height, :-width]
    return float((inside == 0).mean())


def check_masks(
    records: SegmentationRecords, masks: Sequence[MaskFacts], cause: str, findings: Findings
) -> None:
    """Findings about the masks of one split; ``cause`` is the kind that explains the ids of the whole set."""
    void = set(np.flatnonzero(records.lookup == IGNORE_INDEX).tolist())
    unexpected = set(np.flatnonzero(records.lookup == UNEXPECTED).tolist())
    sources = records.mask_sources or records.mask_paths
    for image, path, facts in zip(records.image_paths, sources, masks, strict=True):
        where, values = Path(image).name, set(facts.values)
        wrong = sorted(values & unexpected)
        if facts.counts is None:
            sentence = f"{path} can't be read as a mask ({facts.problem}): replace it."
            findings.notes.add(kinds.MASK_UNREADABLE, path, sentence, where)
        elif cause and values - void:
            findings.notes.add(kinds.KINDS[cause], path, f"{path} {_ADVICE[cause]}", where, image)
        elif wrong and facts.format == "JPEG":
            sentence = f"{path} is a JPEG, which smears ids along edges: export it as PNG."
            findings.notes.add(kinds.MASK_JPEG, path, sentence, where, image)
        elif wrong:
            pixels = int(facts.counts[wrong].sum())
            sentence = (
                f"{path} has {pixels} pixels with the ids {_list(wrong)}, which are no classes: correct "
                "them, or name their classes."
            )
            findings.notes.add(kinds.MASK_UNEXPECTED, path, sentence, where, image)
        elif values <= void:
            sentence = (
                f"{path} is void all over ({_list(sorted(values))}): nothing is learned from it; annotate or "
                "remove it."
            )
            findings.notes.add(kinds.MASK_ALL_VOID, path, sentence, where, image)
        elif facts.void_crops >= MANY_VOID_CROPS:
            share = f"{facts.void_crops:.0%} of its training crops"
            sentence = f"{path} is void in {share}: annotate more of it, or crop larger."
            findings.notes.add(kinds.CROPS_ALL_VOID, path, sentence, where, image)


def diagnose_ids(
    records: Sequence[SegmentationRecords], masks: Sequence[MaskFacts], is_cityscapes: bool
) -> str:
    """The kind of finding that explains the ids of the whole set, or empty.

    Cityscapes' label ids where train ids are read or the other way, and ids that begin at 1.
    """
    used = {value for mask in masks for value in mask.values}
    plain = used - {IGNORE_INDEX}
    if not records or not plain:
        return ""
    if is_cityscapes:
        is_train = max(plain) < _NUM_TRAIN_IDS and IGNORE_INDEX in used
        return kinds.MASK_TRAIN_IDS.name if is_train else ""
    names, lookup = records[0].class_names, records[0].lookup
    plain = {value for value in used if lookup[value] != IGNORE_INDEX}
    is_direct = all(lookup[i] == i for i, name in enumerate(names) if name is not None)
    if not plain or not is_direct:
        return ""
    known = len(names)
    if names == CITYSCAPES_NAMES and _NUM_TRAIN_IDS <= max(plain) < NUM_LABEL_IDS:
        return kinds.MASK_LABEL_IDS.name
    if 0 not in used and max(plain) == known and min(plain) >= 1:
        return kinds.MASK_SHIFTED.name
    return ""


_ADVICE = {
    "mask_label_ids": "has Cityscapes' label ids (0 to 33) where train ids (0 to 18) are expected: convert "
    "it, or use the Cityscapes layout.",
    "mask_train_ids": "has train ids (0 to 18) in a file of label ids: take Cityscapes' own labelIds files.",
    "mask_shifted": "has no class 0 and one id more than there are classes: ids begin at 0; subtract 1.",
}


def class_pixels(records: SegmentationRecords, masks: Sequence[MaskFacts]) -> Counter[str]:
    """Pixels by class name."""
    counts: Counter[str] = Counter()
    for facts in masks:
        for value in facts.values:
            label = int(records.lookup[value])
            name = records.class_names[label] if label < len(records.class_names) else None
            if name is not None and facts.counts is not None:
                counts[name] += int(facts.counts[value])
    return counts


def _list(values: list[int]) -> str:
    shown = ", ".join(map(str, values[:10]))
    return f"{shown} ..." if len(values) > 10 else shown
