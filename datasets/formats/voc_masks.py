"""Pascal VOC segmentation: images, palette masks and ``ImageSets/Segmentation/{split}.txt``.

The masks are PNGs with a palette, whose indices are the classes: 0 for the background, 1 to 20, and
255 for void, the borders of objects (VOC devkit, sec. 4.3).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pocketvision.core.errors import InputError
from pocketvision.core.structures import IGNORE_INDEX
from pocketvision.datasets.formats.contract import DataFormat, Layout, read_split
from pocketvision.datasets.masks.class_table import class_table
from pocketvision.datasets.masks.colors import as_class_ids
from pocketvision.datasets.masks.layouts import picture_stems
from pocketvision.datasets.masks.pairs import check_sizes
from pocketvision.datasets.readers.tree import FileTree
from pocketvision.datasets.readers.voc_layouts import check_listing, listed_names
from pocketvision.datasets.records.annotations import UNEXPECTED, Mask, SegmentationRecords
from pocketvision.datasets.records.kinds import IMAGE_MISSING, MASK_MISSING
from pocketvision.datasets.records.notes import Notes
from pocketvision.datasets.records.splits import ALL

VOC_SEGMENTATION_NAMES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train",
    "tvmonitor",
)  # fmt: skip
"""The background and the 20 classes in the order of the mask values."""


_FOLDERS = ("SegmentationClass", "SegmentationClassPNG", "SegmentationClassRaw")
"""The devkit's and those of labelme's and others' exports."""


def find(tree: FileTree) -> Layout | None:
    """The names of the lists, or ``all`` where there are masks but no lists."""
    masks = _mask_folder(tree)
    if tree.given is not None:
        return None
    sets = tree.child(tree.root, "ImageSets")
    lists = tree.child(sets, "Segmentation") if sets is not None else None
    listings = {file.stem: file for file in tree.files(lists, (".txt",))} if lists is not None else {}
    if masks is None:
        return Layout(tree, listings, lists) if listings else None
    return Layout(tree, listings or {ALL: None}, lists)


def read(layout: Layout, split: str, notes: Notes) -> SegmentationRecords:
    """Without ``ImageSets/Segmentation`` the only split is ``all``: every image with a mask. An image id is
    the rank of the image in the split's list, from 1. A list of classes beside the folders, such as CVAT's
    ``labelmap.txt``, stands for other classes than VOC's.
    """
    tree, listing = layout.tree, layout.splits[split]
    root = tree.root
    masks_folder = _mask_folder(tree) or root / _FOLDERS[0]
    images_folder = tree.child(root, "JPEGImages", "images") or root / "JPEGImages"
    masks = picture_stems(tree, masks_folder)
    images = {file.stem: file for file in tree.images(images_folder)}
    stems = list(masks) if listing is None else [name.rpartition("/")[2] for name in listed_names(listing)]
    if listing is not None:
        notes.read.add(str(listing))
        check_listing(listing, stems, split)
    pairs = _pairs(stems, listing, images, images_folder, masks, masks_folder, notes)
    if not pairs:
        raise InputError(f"Split '{split}' has no images ({images_folder}): add some, or name another split.")
    notes.read |= {str(mask) for _, mask in pairs}
    check_sizes(pairs, notes)
    table = class_table(tree)
    names = VOC_SEGMENTATION_NAMES if table is None else table.names
    ids = as_class_ids(pairs, table, notes)
    return SegmentationRecords(
        image_paths=ids.images,
        mask_paths=ids.masks,
        image_ids=np.arange(1, len(ids.images) + 1),
        class_names=names,
        lookup=_lookup(len(names)),
        mask_sources=ids.sources,
    )


def _pairs(
    stems: list[str],
    listing: Path | None,
    images: dict[str, Path],
    images_folder: Path,
    masks: dict[str, Path],
    masks_folder: Path,
    notes: Notes,
) -> list[tuple[Path, Path]]:
    """Images with their masks; a stem that has no image or no mask is told."""
    pairs = []
    for stem in stems:
        source = f"the line '{stem}' from {listing}" if listing is not None else "its counterpart"
        for kind, found, folder, suffix in (
            (IMAGE_MISSING, images, images_folder, ".jpg"),
            (MASK_MISSING, masks, masks_folder, ".png"),
        ):
            if stem not in found:
                sentence = f"There is no {folder / stem}{suffix}: add it, or remove {source}."
                notes.add(kind, folder / f"{stem}{suffix}", sentence, stem)
        if stem in images and stem in masks:
            pairs.append((images[stem], masks[stem]))
    return pairs


def read_voc_segmentation(root: str | Path, split: str) -> SegmentationRecords:
    """Read a VOC segmentation split; ``root`` is a year's folder, such as ``VOCdevkit/VOC2012``.

    Raises:
        InputError: the split, an image or a mask is missing.
    """
    records: SegmentationRecords = read_split(FORMAT, root, split)
    return records


def _mask_folder(tree: FileTree) -> Path | None:
    folders = (tree.child(tree.root, name) for name in _FOLDERS)
    return next((f for f in folders if f is not None and picture_stems(tree, f)), None)


def _lookup(num_classes: int) -> Mask:
    lookup = np.full(256, UNEXPECTED, dtype=np.uint8)
    lookup[:num_classes] = np.arange(num_classes)
    lookup[255] = IGNORE_INDEX
    return lookup


FORMAT = DataFormat(
    name="voc_masks",
    task="segmentation",
    title="Pascal VOC masks",
    signs="SegmentationClass/*.png and JPEGImages",
    find=find,
    read=read,
    data_module="VocSegmentationDataModule",
)
