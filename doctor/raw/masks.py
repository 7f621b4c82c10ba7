"""Pairs of images and masks: folders of masks, Cityscapes, Pascal VOC."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pocketvision.core.errors import InputError
from pocketvision.core.structures import IGNORE_INDEX
from pocketvision.datasets.masks.cityscapes import CITYSCAPES_LABEL_IDS, CITYSCAPES_NAMES
from pocketvision.datasets.masks.colors import ClassTable, class_table
from pocketvision.datasets.masks.folders import mask_folder_splits
from pocketvision.datasets.masks.voc import VOC_SEGMENTATION_NAMES
from pocketvision.datasets.readers.folders import is_image, list_names
from pocketvision.doctor.findings import Findings
from pocketvision.doctor.raw.layouts import subfolders
from pocketvision.doctor.raw.stated import RawPair, RawSegmentation
from pocketvision.doctor.raw.voc import by_stem, read_list

_MASK_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff")
_NUM_LABEL_IDS = 34


def read_raw_mask_folder(
    root: Path, findings: Findings, class_names: Sequence[str | None] | None, ignore_ids: Sequence[int]
) -> RawSegmentation:
    """Folders of images and masks; without ``class_names`` those of ``classes.txt``."""
    table = _class_table(root, findings)
    names = tuple(class_names) if class_names else table.names if table else None
    values = None if names is None else frozenset(i for i, name in enumerate(names) if name is not None)
    colors = frozenset(table.colors) if table else frozenset()
    ignored = frozenset((*ignore_ids, IGNORE_INDEX))
    data = RawSegmentation(root, "mask_folder", names, values, ignored, colors)
    for split, here in mask_folder_splits(root).items():
        data.folders.add(here.images)
        images, masks = by_stem(here.images, findings), _masks_by_stem(here.masks)
        stems = list(images) if here.listing is None else [_stem(line) for line in read_list(here.listing)]
        if here.listing is not None:
            data.listings[split] = here.listing
        for stem in stems:
            image, mask = here.images / images.get(stem, stem), here.masks / masks.get(stem, f"{stem}.png")
            data.pairs.append(RawPair(image, mask, (split,)))
        if here.listing is None:
            data.unused_masks += [here.masks / masks[stem] for stem in sorted(masks.keys() - images.keys())]
    if names is None:
        findings.add(
            "class_names_missing",
            root,
            f"{root} does not say what its classes are called, so that unexpected ids can't be told: "
            f"write the names into {root / 'classes.txt'}, a line each by their ids, or check a config.",
        )
    return data


def read_raw_cityscapes(root: Path, findings: Findings) -> RawSegmentation:
    """``leftImg8bit`` and ``gtFine``; masks have label ids, of which 19 are classes."""
    ids = frozenset(CITYSCAPES_LABEL_IDS)
    ignored = frozenset((*range(_NUM_LABEL_IDS), IGNORE_INDEX)) - ids
    data = RawSegmentation(root, "cityscapes", CITYSCAPES_NAMES, ids, ignored)
    for split in subfolders(root / "leftImg8bit"):
        for city in subfolders(root / "leftImg8bit" / split):
            images, masks = root / "leftImg8bit" / split / city, root / "gtFine" / split / city
            data.folders.add(images)
            for stem, name in by_stem(images, findings).items():
                mask = masks / f"{stem.removesuffix('_leftImg8bit')}_gtFine_labelIds.png"
                data.pairs.append(RawPair(images / name, mask, (split,)))
            used = {pair.mask.name for pair in data.pairs}
            alone = [n for n in sorted(list_names(masks)) if n.endswith("_labelIds.png") and n not in used]
            data.unused_masks += [masks / name for name in alone]
    return data


def read_raw_voc_masks(root: Path, findings: Findings) -> RawSegmentation:
    """``SegmentationClass`` with the lists of ``ImageSets/Segmentation``."""
    values = frozenset(range(len(VOC_SEGMENTATION_NAMES)))
    data = RawSegmentation(root, "voc_masks", VOC_SEGMENTATION_NAMES, values, frozenset({IGNORE_INDEX}))
    lists = root / "ImageSets" / "Segmentation"
    splits: dict[str, list[str]] = {}
    for name in sorted(name for name in list_names(lists) if name.endswith(".txt")):
        data.listings[name[:-4]] = lists / name
        for stem in read_list(lists / name):
            splits.setdefault(stem, []).append(name[:-4])
    images = by_stem(root / "JPEGImages", findings)
    masks = _masks_by_stem(root / "SegmentationClass")
    for stem, own in splits.items():
        image = root / "JPEGImages" / images.get(stem, f"{stem}.jpg")
        mask = root / "SegmentationClass" / masks.pop(stem, f"{stem}.png")
        data.pairs.append(RawPair(image, mask, tuple(own)))
    data.unused_masks = [root / "SegmentationClass" / name for name in masks.values()]
    return data


def _masks_by_stem(folder: Path) -> dict[str, str]:
    names = [name for name in list_names(folder) if name.lower().endswith(_MASK_SUFFIXES) and name[0] != "."]
    # Of a PNG and another file of the same stem the PNG is the mask.
    ordered = sorted(names, key=lambda name: (name.lower().endswith(".png"), name))
    return dict(sorted((Path(name).stem, name) for name in ordered))


def _class_table(root: Path, findings: Findings) -> ClassTable | None:
    try:
        return class_table(root)
    except InputError as error:
        findings.add("annotation_broken", root, str(error))
        return None


def _stem(line: str) -> str:
    """The stem of an image that a list names as a stem, a file name or a path."""
    name = Path(line.replace("\\", "/")).name
    return Path(name).stem if is_image(name) else name
