"""Cityscapes: ``leftImg8bit/{split}/{city}`` and ``gtFine/{split}/{city}``, scored on 19 classes.

``gtCoarse`` has coarse polygons of the splits train, train_extra and val.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from pocketvision.core.errors import InputError
from pocketvision.core.structures import IGNORE_INDEX
from pocketvision.datasets.readers.folders import empty_split, existing_root, list_names, missing_split
from pocketvision.datasets.records.annotations import UNEXPECTED, Mask, SegmentationRecords

CITYSCAPES_NAMES = (
    "road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign", "vegetation",
    "terrain", "sky", "person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle",
)  # fmt: skip
"""The 19 evaluated classes in the order of their train ids."""

CITYSCAPES_LABEL_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
"""The label id of each train id (cityscapesScripts, ``helpers/labels.py``)."""

_NUM_LABEL_IDS = 34
_IMAGE, _MASK, _INSTANCES = "_leftImg8bit.png", "_labelIds.png", "_instanceIds.png"


def read_cityscapes(
    root: str | Path, split: str, annotations: Literal["gtFine", "gtCoarse"] = "gtFine"
) -> SegmentationRecords:
    """Read a Cityscapes split; every other of its 34 label ids is ignored.

    Raises:
        InputError: the split or the mask of an image is missing.
        ValueError: ``annotations`` is something else.
    """
    if annotations not in ("gtFine", "gtCoarse"):
        raise ValueError(f"annotations is {annotations!r}: choose gtFine or gtCoarse.")
    folder = existing_root(root)
    images, masks = folder / "leftImg8bit" / split, folder / annotations / split
    if not images.is_dir():
        raise missing_split(folder, split, list_names(folder / "leftImg8bit"))
    cities = sorted(list_names(images))
    suffix = f"_{annotations}{_MASK}"
    pairs = [pair for city in cities for pair in _city(images / city, masks / city, suffix)]
    if not pairs:
        raise empty_split(images, split)
    return SegmentationRecords(
        image_paths=[image for image, _ in pairs],
        mask_paths=[mask for _, mask in pairs],
        image_ids=np.arange(1, len(pairs) + 1),
        class_names=CITYSCAPES_NAMES,
        lookup=cityscapes_lookup(),
    )


def cityscapes_lookup() -> Mask:
    """Table (256,) uint8 from label ids to train ids."""
    lookup = np.full(256, UNEXPECTED, dtype=np.uint8)
    lookup[:_NUM_LABEL_IDS] = IGNORE_INDEX
    lookup[255] = IGNORE_INDEX
    lookup[list(CITYSCAPES_LABEL_IDS)] = np.arange(len(CITYSCAPES_NAMES))
    return lookup


def cityscapes_splits(root: Path) -> tuple[str, ...]:
    """Splits that have images."""
    images = root / "leftImg8bit"
    return tuple(sorted(name for name in list_names(images) if (images / name).is_dir()))


def instance_file(mask_path: str | Path) -> str:
    """The instanceIds file beside a labelIds file: label id * 1000 + number, or the label id of a region.

    Raises:
        InputError: it does not exist.
    """
    path = Path(str(mask_path).removesuffix(_MASK) + _INSTANCES)
    if not path.is_file():
        raise InputError(f"{mask_path} has no instances beside it: add {path}, which iIoU needs.")
    return str(path)


def _city(images: Path, masks: Path, suffix: str) -> list[tuple[str, str]]:
    present, pairs = list_names(masks), []
    for name in sorted(name for name in list_names(images) if name.endswith(_IMAGE)):
        mask = name.removesuffix(_IMAGE) + suffix
        if mask not in present:
            raise InputError(f"{images / name} has no mask: add {masks / mask}, or remove the image.")
        pairs.append((str(images / name), str(masks / mask)))
    return pairs
