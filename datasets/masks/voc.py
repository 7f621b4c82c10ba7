"""Pascal VOC segmentation: images, palette masks and ``ImageSets/Segmentation/{split}.txt``.

The masks are PNGs with a palette, whose indices are the classes: 0 for the background, 1 to 20, and
255 for void, the borders of objects (VOC devkit, sec. 4.3).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pocketvision.core.errors import InputError
from pocketvision.core.structures import IGNORE_INDEX
from pocketvision.datasets.readers.folders import (
    IMAGE_SUFFIXES,
    by_stem,
    empty_split,
    existing_root,
    is_file,
    list_names,
    missing_split,
    read_lines,
)
from pocketvision.datasets.records.annotations import UNEXPECTED, Mask, SegmentationRecords
from pocketvision.datasets.records.splits import ALL

VOC_SEGMENTATION_NAMES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train",
    "tvmonitor",
)  # fmt: skip
"""The background and the 20 classes in the order of the mask values."""


def read_voc_segmentation(root: str | Path, split: str) -> SegmentationRecords:
    """Read a VOC segmentation split; ``root`` is a year's folder, such as ``VOCdevkit/VOC2012``.

    Without ``ImageSets/Segmentation`` the only split is ``all``: every image with a mask. An image id is
    the rank of the image in the split's list, from 1.

    Raises:
        InputError: the split, an image or a mask is missing.
    """
    folder = existing_root(root)
    listing = folder / "ImageSets" / "Segmentation" / f"{split}.txt"
    splits = voc_segmentation_splits(folder)
    if split not in splits:
        raise missing_split(listing.parent, split, splits)
    masks = folder / "SegmentationClass"
    stems = list(dict.fromkeys(read_lines(listing) if is_file(listing) else by_stem(masks, (".png",))))
    if not stems:
        raise empty_split(listing, split)
    return SegmentationRecords(
        image_paths=_files(folder / "JPEGImages", stems, IMAGE_SUFFIXES, listing),
        mask_paths=_files(masks, stems, (".png",), listing),
        image_ids=np.arange(1, len(stems) + 1),
        class_names=VOC_SEGMENTATION_NAMES,
        lookup=_lookup(),
    )


def voc_segmentation_splits(root: Path) -> tuple[str, ...]:
    """The names of the lists, or ``all`` where there are masks but no lists."""
    lists = tuple(by_stem(root / "ImageSets" / "Segmentation", (".txt",)))
    has_masks = any(name.endswith(".png") for name in list_names(root / "SegmentationClass"))
    return lists or ((ALL,) if has_masks else ())


def _files(folder: Path, stems: list[str], suffixes: tuple[str, ...], listing: Path) -> list[str]:
    names = by_stem(folder, suffixes)
    missing = next((stem for stem in stems if stem not in names), None)
    if missing is not None:
        raise InputError(
            f"There is no {folder / missing}{suffixes[0]}: add it, or remove "
            + (f"the line '{missing}' from {listing}." if is_file(listing) else "its counterpart.")
        )
    return [str(folder / names[stem]) for stem in stems]


def _lookup() -> Mask:
    lookup = np.full(256, UNEXPECTED, dtype=np.uint8)
    lookup[: len(VOC_SEGMENTATION_NAMES)] = np.arange(len(VOC_SEGMENTATION_NAMES))
    lookup[255] = IGNORE_INDEX
    return lookup
