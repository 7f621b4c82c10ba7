"""Masks for ``--fix``, as folders of images and masks of class ids: mapped, resized, or left out."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from pocketvision.core.files import replacing
from pocketvision.core.structures import IGNORE_INDEX
from pocketvision.datasets.convert.common import unique_names
from pocketvision.datasets.formats.cityscapes import CITYSCAPES_NAMES, cityscapes_lookup
from pocketvision.datasets.images.read import match_mask, read_mask
from pocketvision.datasets.records.annotations import UNEXPECTED, Mask, SegmentationRecords
from pocketvision.datasets.records.splits import split_of
from pocketvision.doctor.checks.files import SAME_RATIO
from pocketvision.doctor.checks.masks import MaskFacts
from pocketvision.doctor.fixes.images import FixedImage


def usable_masks(
    records: SegmentationRecords,
    masks: Sequence[MaskFacts],
    cause: str,
    images: Mapping[str, FixedImage],
) -> list[int]:
    """Indices of the images that stay: their mask has ids, fits them, and is not void all over."""
    lookup = mended_lookup(records.lookup, records.class_names, cause)
    kept = []
    for i, (path, facts) in enumerate(zip(records.image_paths, masks, strict=True)):
        image = images.get(path)
        if image is None or facts.counts is None or facts.size is None:
            continue
        is_smeared = facts.format == "JPEG" and any(records.lookup[v] == UNEXPECTED for v in facts.values)
        is_void = all(lookup[value] == IGNORE_INDEX for value in facts.values)
        if not is_smeared and not is_void and _fits(facts, image):
            kept.append(i)
    return kept


def mended_lookup(lookup: Mask, names: tuple[str | None, ...], cause: str) -> Mask:
    """Table (256,) from the values that masks have to class ids; unexpected values are ignored."""
    if cause == "mask_label_ids":
        own = cityscapes_lookup()
        table = np.where(own < len(CITYSCAPES_NAMES), own, IGNORE_INDEX)
    elif cause == "mask_train_ids":
        table = np.full(256, IGNORE_INDEX)
        table[: len(CITYSCAPES_NAMES)] = np.arange(len(CITYSCAPES_NAMES))
    elif cause == "mask_shifted":
        table = np.full(256, IGNORE_INDEX)
        table[1 : len(names) + 1] = np.arange(len(names))
    else:
        table = np.where(lookup == UNEXPECTED, IGNORE_INDEX, lookup)
    return table.astype(np.uint8)


def write_masks(
    splits: Mapping[str, SegmentationRecords],
    lookups: Mapping[str, Mask],
    images: Mapping[str, FixedImage],
    output: Path,
) -> None:
    """Write ``{split}/images``, ``{split}/masks`` and ``classes.txt``.

    A single split that is none of the usual ones is written without a folder of its own.
    """
    is_whole = len(splits) == 1 and split_of(next(iter(splits))) is None
    names: dict[str, None] = {}
    for split, records in splits.items():
        names |= dict.fromkeys(f"reserved {i}" if n is None else n for i, n in enumerate(records.class_names))
        own = {images[path].path: path for path in records.image_paths}
        file_names = unique_names(own)
        mask_of = dict(zip(records.image_paths, records.mask_paths, strict=True))
        for fixed, name in file_names.items():
            base = output if is_whole else output / split
            target = base / "images" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(fixed, target)
            source = own[fixed]
            _write_mask(mask_of[source], source, lookups[split], images[source], base / "masks" / name)
    with replacing(output / "classes.txt") as temporary:
        temporary.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")


def _write_mask(mask: str, image: str, lookup: Mask, fixed: FixedImage, target: Path) -> None:
    values = lookup[match_mask(read_mask(mask), image)]
    if values.shape != fixed.size:
        resized = cv2.resize(values, fixed.size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
        values = np.asarray(resized, dtype=np.uint8)
    with replacing(target.with_suffix(".png")) as temporary:
        Image.fromarray(values).save(temporary, "PNG")


def _fits(facts: MaskFacts, image: FixedImage) -> bool:
    assert facts.size is not None
    sizes = facts.size, facts.size[::-1]
    return any(abs(size[1] / size[0] * image.size[0] / image.size[1] - 1) < SAME_RATIO for size in sizes)
