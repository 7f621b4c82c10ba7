"""A folder of images and a folder of masks of the same names, with or without splits.

Masks hold class ids, with or without a palette, colors of a table, or gray levels such as 0 and 255.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from pocketvision.core.errors import InputError
from pocketvision.core.structures import IGNORE_INDEX
from pocketvision.datasets.formats.contract import DataFormat, Layout, read_split
from pocketvision.datasets.masks.class_table import class_table
from pocketvision.datasets.masks.colors import as_class_ids
from pocketvision.datasets.masks.layouts import MASK_SUFFIXES, MaskSplit, mask_splits
from pocketvision.datasets.masks.pairs import check_sizes, find_pairs, no_masks
from pocketvision.datasets.masks.values import FEW, MOST, MaskMeaning, count_values, meaning
from pocketvision.datasets.readers.tree import FileTree
from pocketvision.datasets.records.annotations import UNEXPECTED, SegmentationRecords
from pocketvision.datasets.records.kinds import MASK_LEVELS
from pocketvision.datasets.records.notes import Notes


def find(tree: FileTree) -> Layout | None:
    """``{split}/images`` + ``{split}/masks``, ``images/{split}`` + ``masks/{split}``, or both without splits.

    ``images`` + ``masks`` without splits go by lists ``{split}.txt``, else the only split is ``all``. A split
    without any mask is broken.
    """
    if tree.given is not None:
        return None
    splits = mask_splits(tree)
    usable = {name: here for name, here in splits.items() if tree.files(here.masks, MASK_SUFFIXES)}
    broken = {name: no_masks(here) for name, here in splits.items() if name not in usable}
    return Layout(tree, usable, broken=broken) if usable else None


def read(
    layout: Layout,
    split: str,
    notes: Notes,
    class_names: Sequence[str | None] | None = None,
    ignore_ids: Iterable[int] = (),
    binary: bool | None = None,
) -> SegmentationRecords:
    """Class i has mask value i; 255 and ``ignore_ids`` are ignored.

    ``class_names`` None means: the lines of ``classes.txt`` in the root. If these lines have colors
    (``name r g b`` or ``name,r,g,b``, also as ``classes.csv``), color masks are converted once, into the
    cache folder. With ``binary`` 255 is class 1; None looks at the masks. An image id is the rank of the
    image in its split, from 1.
    """
    tree = layout.tree
    here: MaskSplit = layout.splits[split]
    table = class_table(tree)
    if table is not None:
        notes.read.add(str(table.file))
    names = tuple(class_names) if class_names is not None else None if table is None else table.names
    if names is None:
        raise InputError(no_names(tree.root))
    pairs = find_pairs(here, split, tree, notes)
    check_sizes(pairs, notes)
    ids = as_class_ids(pairs, table, notes)
    found = _meaning(ids.masks, names, ignore_ids, binary, tree.root)
    if found.told:
        notes.add(MASK_LEVELS, here.masks, f"{here.masks}: {found.told}; write class ids.")
    lookup = found.lookup.copy()
    lookup[[i for i, name in enumerate(names) if name is None]] = IGNORE_INDEX
    return SegmentationRecords(
        image_paths=ids.images,
        mask_paths=ids.masks,
        image_ids=np.arange(1, len(ids.images) + 1),
        class_names=names,
        lookup=lookup,
        mask_sources=ids.sources,
    )


def read_mask_folder(
    root: str | Path,
    split: str,
    class_names: Sequence[str | None] | None = None,
    ignore_ids: Iterable[int] = (),
    binary: bool | None = None,
) -> SegmentationRecords:
    """Read a split of images and masks; see :func:`read`.

    Raises:
        InputError: the split, a mask or the class names are missing, or a color is unknown.
    """
    records: SegmentationRecords = read_split(
        FORMAT, root, split, class_names=class_names, ignore_ids=ignore_ids, binary=binary
    )
    return records


def invented_names(layout: Layout) -> tuple[list[str], bool | None]:
    """Names for the values that the masks of all splits have, and ``binary`` for reading them.

    It is None where values are gray levels, which only the masks can tell.
    """
    counts = np.zeros(256, dtype=np.int64)
    for split, here in layout.splits.items():
        told = Notes(strict=False)
        pairs = find_pairs(here, split, layout.tree, told)
        if pairs:
            counts += count_values(as_class_ids(pairs, None, told).masks)
    found = meaning(counts, None)
    binary = None if found.told else found.is_binary
    if found.num_classes == 2 and (found.is_binary or found.told):
        return ["background", "foreground"], binary
    return [f"class_{i}" for i in range(found.num_classes)], binary


def no_names(root: Path) -> str:
    """The sentence for masks whose classes nothing names."""
    return (
        f"{root} does not say what its classes are called: write the names into {root / 'classes.txt'}, one "
        "a line in the order of the mask values, or set class_names in the config."
    )


def _meaning(
    masks: list[str],
    names: Sequence[str | None],
    ignore_ids: Iterable[int],
    binary: bool | None,
    root: Path,
) -> MaskMeaning:
    if len(names) > UNEXPECTED:
        raise InputError(f"{root} has {len(names)} classes: masks of one byte can have {UNEXPECTED} at most.")
    wrong = next((value for value in ignore_ids if not 0 <= value <= 255), None)
    if wrong is not None:
        raise InputError(f"ignore_ids has {wrong}: mask values lie between 0 and 255.")
    counts = count_values(masks, MOST if len(names) == 2 else FEW) if binary is None else None
    return meaning(counts, len(names), ignore_ids, binary)


FORMAT = DataFormat(
    name="mask_folder",
    task="segmentation",
    title="folders of masks",
    signs="images and masks/*.png, or these in splits",
    find=find,
    read=read,
    data_module="MaskFolderDataModule",
    options=("class_names", "ignore_ids", "binary"),
)
