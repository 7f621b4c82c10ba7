"""A folder of images and a folder of masks (PNGs, same stem), with or without splits.

Masks hold class ids, with or without a palette, colors of a table, or 0 and 255 for two classes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pocketvision.core.errors import InputError
from pocketvision.core.structures import IGNORE_INDEX
from pocketvision.datasets.masks.colors import as_class_ids, class_table
from pocketvision.datasets.masks.values import is_binary
from pocketvision.datasets.readers.folders import (
    by_stem,
    empty_split,
    existing_root,
    is_image,
    list_names,
    missing_split,
    read_lines,
)
from pocketvision.datasets.records.annotations import UNEXPECTED, Mask, SegmentationRecords
from pocketvision.datasets.records.splits import ALL, canonical, find_split, split_of


@dataclass(frozen=True)
class MaskSplit:
    """Folders of one split, and the list of its images where the folders hold other splits too."""

    images: Path
    masks: Path
    listing: Path | None = None


def read_mask_folder(
    root: str | Path,
    split: str,
    class_names: Sequence[str | None] | None = None,
    ignore_ids: Iterable[int] = (),
    binary: bool | None = None,
) -> SegmentationRecords:
    """Read ``{split}/images`` + ``{split}/masks``, or ``images/{split}`` + ``masks/{split}``.

    ``images`` + ``masks`` without splits go by lists ``{split}.txt`` of names, else the only split is
    ``all``. Class i has mask value i; 255 and ``ignore_ids`` are ignored. ``class_names`` None means:
    the lines of ``classes.txt`` in ``root``. If these lines have colors (``name r g b`` or
    ``name,r,g,b``, also as ``classes.csv``), color masks are converted once, into the cache folder.
    With ``binary`` 255 is class 1; None looks at the masks if there are two classes. An image id is
    the rank of the image in its split, from 1.

    Raises:
        InputError: the split, a mask or the class names are missing, or a color is unknown.
    """
    folder = existing_root(root)
    splits = mask_folder_splits(folder)
    name = find_split(splits, split)
    if name is None:
        raise missing_split(folder, split, splits)
    here = splits[name]
    names = tuple(class_names) if class_names is not None else read_class_names(folder)
    images, masks, notes = _pairs(here, split)
    masks = as_class_ids(masks, class_table(folder))
    lookup = _lookup(names, ignore_ids, folder)
    if binary or (binary is None and len(names) == 2 and is_binary(masks)):
        lookup[255] = 1
    return SegmentationRecords(
        image_paths=images,
        mask_paths=masks,
        image_ids=np.arange(1, len(images) + 1),
        class_names=names,
        lookup=lookup,
        notes=notes,
    )


def read_class_names(root: str | Path) -> tuple[str, ...]:
    """The names in ``classes.txt`` (or ``classes.csv``).

    Raises:
        InputError: there is no such file, it is empty, or a name is there twice.
    """
    table = class_table(Path(root))
    if table is None:
        raise InputError(
            f"{root} does not say what its classes are called: write the names into "
            f"{Path(root) / 'classes.txt'}, one a line in the order of the mask values, or set class_names "
            "in the config."
        )
    return table.names


def mask_folder_splits(root: Path) -> dict[str, MaskSplit]:
    """The splits that the folders and lists of ``root`` make; empty if it has no folders of this kind.

    Raises:
        InputError: images are there, but no folder of masks.
    """
    own = {
        name: MaskSplit(root / name / "images", root / name / "masks") for name in sorted(list_names(root))
    }
    splits = {canonical(name): split for name, split in own.items() if split.images.is_dir()}
    inner = sorted(name for name in list_names(root / "images") if (root / "images" / name).is_dir())
    if not splits:
        splits = {canonical(name): MaskSplit(root / "images" / name, root / "masks" / name) for name in inner}
    if not splits and any(map(is_image, list_names(root / "images"))):
        lists = [
            root / name for name in sorted(list_names(root)) if name.endswith(".txt") and split_of(name[:-4])
        ]
        whole = MaskSplit(root / "images", root / "masks")
        splits = {file.stem: MaskSplit(whole.images, whole.masks, file) for file in lists} or {ALL: whole}
    return splits


def _pairs(split: MaskSplit, name: str) -> tuple[list[str], list[str], tuple[str, ...]]:
    """Paths of images and masks, and a note on masks without image."""
    if not split.masks.is_dir():
        raise InputError(f"{split.images} has no masks: put them into {split.masks}.")
    images, masks = by_stem(split.images), by_stem(split.masks, (".png",))
    stems = list(images) if split.listing is None else _listed(split.listing, images)
    if not stems:
        raise empty_split(split.listing or split.images, name)
    missing = next((stem for stem in stems if stem not in masks), None)
    if missing is not None:
        wanted = split.masks / f"{missing}.png"
        raise InputError(f"{split.images / images[missing]} has no mask: add {wanted}, or remove the image.")
    alone = sorted(masks.keys() - images.keys())
    first = split.masks / masks[alone[0]] if alone else None
    note = f"{len(alone)} of the masks have no image and are left out (first: {first})."
    return (
        [str(split.images / images[stem]) for stem in stems],
        [str(split.masks / masks[stem]) for stem in stems],
        (note,) if alone else (),
    )


def _listed(file: Path, images: dict[str, str]) -> list[str]:
    """The stems that a list names, as stems, file names or paths."""
    names = {name: stem for stem, name in images.items()}
    stems = []
    for number, line in enumerate(read_lines(file), start=1):
        name = Path(line.replace("\\", "/")).name
        stem = name if name in images else names.get(name)
        if stem is None:
            raise InputError(
                f"{file}, image {number}: there is no image '{line}': add it, or remove the line."
            )
        stems.append(stem)
    return list(dict.fromkeys(stems))


def _lookup(names: Sequence[str | None], ignore_ids: Iterable[int], root: Path) -> Mask:
    if len(names) > UNEXPECTED:
        raise InputError(f"{root} has {len(names)} classes: masks of one byte can have {UNEXPECTED} at most.")
    lookup = np.full(256, UNEXPECTED, dtype=np.uint8)
    lookup[: len(names)] = np.arange(len(names))
    lookup[[i for i, name in enumerate(names) if name is None]] = IGNORE_INDEX
    for value in (*ignore_ids, 255):
        if not 0 <= value <= 255:
            raise InputError(f"ignore_ids has {value}: mask values lie between 0 and 255.")
        lookup[value] = IGNORE_INDEX
    return lookup
