"""Masks against their images and classes: sizes, formats, ids, and how much of them is void."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from pocketvision.core.structures import IGNORE_INDEX, Size
from pocketvision.datasets.images.header import opened
from pocketvision.datasets.images.read import read_bytes
from pocketvision.datasets.masks.cityscapes import CITYSCAPES_LABEL_IDS, CITYSCAPES_NAMES
from pocketvision.doctor.checks.images import ImageFacts
from pocketvision.doctor.findings import Findings
from pocketvision.doctor.raw.stated import RawPair, RawSegmentation

_NUM_LABEL_IDS = 34
_NUM_TRAIN_IDS = 19
MANY_VOID_CROPS = 0.5
"""Share of the crops of an image that would be void all over from which on it is reported."""


class MaskFacts(NamedTuple):
    """What is known of a mask.

    ``counts`` (256,) are pixels by value, None for colors; ``strange`` are colors, of those that
    no table has; ``void_crops`` is a share, 0 where nothing is void.
    """

    size: Size | None
    mode: str = ""
    format: str = ""
    counts: npt.NDArray[np.int64] | None = None
    strange: tuple[str, ...] = ()
    void_crops: float = 0.0
    problem: str = ""

    @property
    def values(self) -> list[int]:
        """The values that occur, ascending."""
        return [] if self.counts is None else np.flatnonzero(self.counts).tolist()


def inspect_mask(
    path: Path, ignored: frozenset[int], colors: frozenset[tuple[int, int, int]], crop_size: Size | None
) -> MaskFacts:
    """Facts of a mask file, whose pixels are always read; never raises."""
    try:
        with opened(read_bytes(path), str(path)) as image:
            image.load()
            mode, name, size = image.mode, str(image.format), (image.height, image.width)
            if mode in ("RGB", "RGBA", "CMYK", "YCbCr", "LA", "PA"):
                strange = _strange_colors(np.asarray(image.convert("RGB")), colors)
                return MaskFacts(size, mode, name, strange=strange)
            values = np.asarray(image)
    except Exception as error:  # Pillow's plugins raise whatever a broken file leads them to
        return MaskFacts(None, problem=str(error) or "broken data")
    if values.max(initial=0) > IGNORE_INDEX or values.min(initial=0) < 0:
        return MaskFacts(None, problem=f"values up to {values.max()}, where a mask has at most 255")
    values = values.astype(np.uint8)
    counts = np.bincount(values.ravel(), minlength=256)
    share = _void_crops(values, ignored, crop_size) if counts[list(ignored)].any() else 0.0
    return MaskFacts(size, mode, name, counts, void_crops=share)


def _strange_colors(
    pixels: npt.NDArray[np.uint8], colors: frozenset[tuple[int, int, int]]
) -> tuple[str, ...]:
    """Colors of (H, W, 3) that are not among ``colors``."""
    weights = np.array([1 << 16, 1 << 8, 1], dtype=np.int64)
    known = [red << 16 | green << 8 | blue for red, green, blue in colors]
    found = np.setdiff1d((pixels.astype(np.int64) * weights).sum(axis=-1), known)
    return tuple(f"({value >> 16}, {value >> 8 & 255}, {value & 255})" for value in found[:1000].tolist())


def _void_crops(values: npt.NDArray[np.uint8], ignored: frozenset[int], crop_size: Size | None) -> float:
    """Share of crops, of half the mask's sides if no size is given, in which every pixel is ignored."""
    height, width = crop_size or (max(1, values.shape[0] // 2), max(1, values.shape[1] // 2))
    height, width = min(height, values.shape[0]), min(width, values.shape[1])
    sums = cv2.integral(np.isin(values, list(ignored), invert=True).astype(np.uint8))
    inside = sums[height:, width:] - sums[:-height, width:] - sums[height:, :-width] + sums[:-height, :-width]
    return float((inside == 0).mean())


def check_pairs(data: RawSegmentation, findings: Findings) -> None:
    """Images and masks that have no partner."""
    for pair in data.pairs:
        if not pair.image.is_file():
            sentence = f"There is no {pair.image}: add it, or remove its name from the list."
            findings.add("image_missing", pair.image, sentence, pair.image.stem)
        if not pair.mask.is_file():
            sentence = f"{pair.image} has no mask: add {pair.mask}."
            findings.add("mask_missing", pair.image, sentence, "", pair.image)
    for mask in data.unused_masks:
        findings.add("mask_unused", mask, f"{mask} has no image in any split: add the image, or remove it.")


def check_mask(
    pair: RawPair, facts: MaskFacts, image: ImageFacts | None, data: RawSegmentation, findings: Findings
) -> None:
    """Findings about one mask; those about ids of the whole set are :func:`check_ids`'."""
    mask, where = pair.mask, pair.image.name
    if facts.size is None:
        sentence = f"{mask} can't be read as a mask ({facts.problem}): replace it."
        findings.add("mask_unreadable", mask, sentence, where)
        return
    if image is not None and image.size is not None and facts.size not in (image.size, image.upright_size):
        sentence = (
            f"{mask} has {facts.size[1]}x{facts.size[0]} pixels, but {pair.image} has "
            f"{image.size[1]}x{image.size[0]}: export it in the size of the image."
        )
        findings.add("mask_size", mask, sentence, where, pair.image)
    for kind, is_wrong, what in (*_of_pixels(facts, data), *_of_void(facts, data)):
        if is_wrong:
            findings.add(kind, mask, f"{mask} {what}", where, pair.image)
            return


def _of_pixels(facts: MaskFacts, data: RawSegmentation) -> list[tuple[str, bool, str]]:
    """(kind, whether it is so, sentence) of pixels that are no ids."""
    is_jpeg, is_colored = facts.format in ("JPEG", "MPO"), facts.counts is None
    strange = facts.strange[0] if facts.strange else ""
    return [
        ("mask_jpeg", is_jpeg, "is a JPEG, which smears ids along edges: export it as PNG."),
        (
            "mask_unexpected",
            is_colored and bool(data.colors and strange),
            f"has {len(facts.strange)} colors that the table of classes does not have, such as {strange}: "
            "correct them, or add the class.",
        ),
        (
            "mask_colors",
            is_colored and not data.colors,
            f"has pixels of type {facts.mode}, but a mask has one 8-bit channel with the class ids: "
            "convert it, or write the colors into classes.txt (name r g b).",
        ),
    ]


def _of_void(facts: MaskFacts, data: RawSegmentation) -> list[tuple[str, bool, str]]:
    """(kind, whether it is so, sentence) of masks that say little."""
    return [
        (
            "mask_all_void",
            facts.counts is not None and set(facts.values) <= data.ignored,
            f"is void all over ({_list(facts.values)}): nothing is learned from it; annotate or remove it.",
        ),
        (
            "crops_all_void",
            facts.void_crops >= MANY_VOID_CROPS,
            f"is void in {facts.void_crops:.0%} of its training crops: annotate more of it, or crop larger.",
        ),
    ]


def diagnose_ids(masks: list[MaskFacts], data: RawSegmentation) -> str:
    """The kind of finding that explains the ids of the whole set, or empty.

    0/255 masks, Cityscapes' label ids where train ids are read or the other way, and ids that begin at 1.
    """
    used = {value for mask in masks for value in mask.values}
    if data.format == "cityscapes":
        is_train = (
            max(used - {IGNORE_INDEX}, default=_NUM_TRAIN_IDS) < _NUM_TRAIN_IDS and IGNORE_INDEX in used
        )
        return "mask_train_ids" if is_train else ""
    plain = used - data.ignored
    if not plain or data.colors:
        return ""
    known = len(data.values) if data.values is not None else None
    if used == {0, IGNORE_INDEX} and (known is None or known == 2):
        return "mask_binary"
    if (
        known == _NUM_TRAIN_IDS
        and _NUM_TRAIN_IDS <= max(plain) < _NUM_LABEL_IDS
        and data.class_names == CITYSCAPES_NAMES
    ):
        return "mask_label_ids"
    if known is not None and 0 not in used and max(plain) == known and min(plain) >= 1:
        return "mask_shifted"
    return ""


_ADVICE = {
    "mask_binary": "has the values 0 and 255: they are read as two classes only where there are no more, "
    "as 255 means ignored; write 1 for the foreground.",
    "mask_label_ids": "has Cityscapes' label ids (0 to 33) where train ids (0 to 18) are expected: convert "
    "it, or use the Cityscapes layout.",
    "mask_train_ids": "has train ids (0 to 18) in a file of label ids: take Cityscapes' own labelIds files.",
    "mask_shifted": "has no class 0 and one id more than there are classes: ids begin at 0; subtract 1.",
}


def check_ids(pairs: list[RawPair], masks: list[MaskFacts], data: RawSegmentation, findings: Findings) -> str:
    """Findings about ids: one explanation for the whole set if there is one, else unexpected ids a mask."""
    cause = diagnose_ids(masks, data)
    for pair, facts in zip(pairs, masks, strict=True):
        if facts.counts is None or facts.format == "JPEG":
            continue
        unexpected = [] if data.values is None else sorted(set(facts.values) - data.values - data.ignored)
        if cause and set(facts.values) - data.ignored:
            findings.add(cause, pair.mask, f"{pair.mask} {_ADVICE[cause]}", pair.image.name, pair.image)
        elif unexpected and not data.colors:
            pixels = int(facts.counts[unexpected].sum())
            findings.add(
                "mask_unexpected",
                pair.mask,
                f"{pair.mask} has {pixels} pixels with the ids {_list(unexpected)}, "
                "which are no classes: correct them, or name their classes.",
                pair.image.name,
                pair.image,
            )
    return cause


def class_pixels(
    pairs: list[RawPair], masks: list[MaskFacts], data: RawSegmentation
) -> dict[str, Counter[str]]:
    """Pixels by split and class name (or id, where there are no names)."""
    counts: dict[str, Counter[str]] = {}
    for pair, facts in zip(pairs, masks, strict=True):
        for split in pair.splits:
            own = counts.setdefault(split, Counter())
            for value in set(facts.values) - data.ignored if facts.counts is not None else ():
                name = class_name(value, data)
                if name is not None:
                    own[name] += int(facts.counts[value])  # type: ignore[index]
    return counts


def class_name(value: int, data: RawSegmentation) -> str | None:
    """The class of a mask value; None for values that are ignored."""
    if data.format == "cityscapes":
        return CITYSCAPES_NAMES[CITYSCAPES_LABEL_IDS.index(value)] if value in CITYSCAPES_LABEL_IDS else None
    if data.class_names is None:
        return f"id {value}"
    return data.class_names[value] if value < len(data.class_names) else None


def _list(values: list[int]) -> str:
    shown = ", ".join(map(str, values[:10]))
    return f"{shown} ..." if len(values) > 10 else shown
