"""Cityscapes: ``leftImg8bit/{split}/{city}`` and ``gtFine/{split}/{city}``, scored on 19 classes.

``gtCoarse`` has coarse polygons of the splits train, train_extra and val.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from pocketvision.core.errors import InputError
from pocketvision.core.structures import IGNORE_INDEX
from pocketvision.datasets.formats.contract import DataFormat, Layout, read_split
from pocketvision.datasets.masks.pairs import check_sizes
from pocketvision.datasets.readers.tree import FileTree
from pocketvision.datasets.records.annotations import UNEXPECTED, Mask, SegmentationRecords
from pocketvision.datasets.records.kinds import MASK_MISSING
from pocketvision.datasets.records.notes import Notes

CITYSCAPES_NAMES = (
    "road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign", "vegetation",
    "terrain", "sky", "person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle",
)  # fmt: skip
"""The 19 evaluated classes in the order of their train ids."""

CITYSCAPES_LABEL_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
"""The label id of each train id (cityscapesScripts, ``helpers/labels.py``)."""

NUM_LABEL_IDS = 34
_IMAGE, _MASK, _INSTANCES = "_leftImg8bit.png", "_labelIds.png", "_instanceIds.png"
_POLYGONS = "_polygons.json"


def find(tree: FileTree) -> Layout | None:
    """Splits are the folders of ``leftImg8bit``."""
    images = tree.root / "leftImg8bit"
    splits = {folder.name: folder for folder in tree.folders(images)} if tree.given is None else {}
    return Layout(tree, splits) if splits else None


def read(
    layout: Layout, split: str, notes: Notes, annotations: Literal["gtFine", "gtCoarse"] = "gtFine"
) -> SegmentationRecords:
    """Every other of the 34 label ids than the 19 evaluated ones is ignored."""
    if annotations not in ("gtFine", "gtCoarse"):
        raise ValueError(f"annotations is {annotations!r}: choose gtFine or gtCoarse.")
    tree, images = layout.tree, layout.splits[split]
    masks = tree.root / annotations / split
    pairs: list[tuple[Path, Path]] = []
    for city in tree.folders(images):
        pairs += _city(city, masks / city.name, f"_{annotations}", tree, notes)
    if not pairs:
        raise InputError(f"Split '{split}' has no images ({images}): add some, or name another split.")
    check_sizes(pairs, notes)
    notes.read |= {str(mask) for _, mask in pairs}
    return SegmentationRecords(
        image_paths=[str(image) for image, _ in pairs],
        mask_paths=[str(mask) for _, mask in pairs],
        image_ids=np.arange(1, len(pairs) + 1),
        class_names=CITYSCAPES_NAMES,
        lookup=cityscapes_lookup(),
    )


def read_cityscapes(
    root: str | Path, split: str, annotations: Literal["gtFine", "gtCoarse"] = "gtFine"
) -> SegmentationRecords:
    """Read a Cityscapes split; see :func:`read`.

    Raises:
        InputError: the split or the mask of an image is missing.
        ValueError: ``annotations`` is something else.
    """
    records: SegmentationRecords = read_split(FORMAT, root, split, annotations=annotations)
    return records


def cityscapes_lookup() -> Mask:
    """Table (256,) uint8 from label ids to train ids."""
    lookup = np.full(256, UNEXPECTED, dtype=np.uint8)
    lookup[:NUM_LABEL_IDS] = IGNORE_INDEX
    lookup[255] = IGNORE_INDEX
    lookup[list(CITYSCAPES_LABEL_IDS)] = np.arange(len(CITYSCAPES_NAMES))
    return lookup


def instance_file(mask_path: str | Path) -> str:
    """The instanceIds file beside a labelIds file: label id * 1000 + number, or the label id of a region.

    Raises:
        InputError: it does not exist.
    """
    path = Path(str(mask_path).removesuffix(_MASK) + _INSTANCES)
    if not path.is_file():
        raise InputError(f"{mask_path} has no instances beside it: add {path}, which iIoU needs.")
    return str(path)


def _city(
    images: Path, masks: Path, annotations: str, tree: FileTree, notes: Notes
) -> list[tuple[Path, Path]]:
    pairs = []
    for image in tree.images(images):
        if not image.name.endswith(_IMAGE):
            continue
        stem = image.name.removesuffix(_IMAGE) + annotations
        mask = masks / f"{stem}{_MASK}"
        if tree.is_file(mask):
            pairs.append((image, mask))
            continue
        remedy = f"has no mask: add {mask}, or remove the image."
        if tree.is_file(masks / f"{stem}{_POLYGONS}"):
            remedy = (
                f"has polygons, but no mask {mask.name}: draw it with csCreateTrainIdLabelImgs of "
                "cityscapesscripts."
            )
        notes.add(MASK_MISSING, image, f"{image} {remedy}", "", image)
    return pairs


FORMAT = DataFormat(
    name="cityscapes",
    task="segmentation",
    title="Cityscapes masks",
    signs="leftImg8bit and gtFine",
    find=find,
    read=read,
    data_module="CityscapesDataModule",
    options=("annotations",),
)
