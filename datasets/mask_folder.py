"""A folder of images and a folder of masks (PNGs of class ids, same stem), one pair of folders a split."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from pocketvision.core.errors import InputError
from pocketvision.core.structures import IGNORE_INDEX
from pocketvision.datasets.folders import by_stem, empty_split, existing_root, list_names, missing_split
from pocketvision.datasets.records import UNEXPECTED, Mask, SegmentationRecords


def read_mask_folder(
    root: str | Path,
    split: str,
    class_names: Sequence[str | None] | None = None,
    ignore_ids: Iterable[int] = (),
) -> SegmentationRecords:
    """Read ``{split}/images`` + ``{split}/masks``, or ``images/{split}`` + ``masks/{split}``.

    Class i has mask value i; 255 and ``ignore_ids`` are ignored. ``class_names`` None means: the
    lines of ``classes.txt`` in ``root``. An image id is the rank of the image in its split, from 1.

    Raises:
        InputError: the split, a mask or the class names are missing.
    """
    folder = existing_root(root)
    images, masks = _find(folder, split)
    names = tuple(class_names) if class_names is not None else read_class_names(folder)
    image_names, mask_names = by_stem(images), by_stem(masks, (".png",))
    if not image_names:
        raise empty_split(images, split)
    missing = next((name for stem, name in image_names.items() if stem not in mask_names), None)
    if missing is not None:
        wanted = masks / f"{Path(missing).stem}.png"
        raise InputError(f"{images / missing} has no mask: add {wanted}, or remove the image.")
    alone = sorted(mask_names.keys() - image_names.keys())
    notes = []
    if alone:
        first = masks / mask_names[alone[0]]
        notes = [f"{len(alone)} of the masks have no image and are left out (first: {first})."]
    return SegmentationRecords(
        image_paths=[str(images / name) for name in image_names.values()],
        mask_paths=[str(masks / mask_names[stem]) for stem in image_names],
        image_ids=np.arange(1, len(image_names) + 1),
        class_names=names,
        lookup=_lookup(names, ignore_ids, folder),
        notes=tuple(notes),
    )


def read_class_names(root: str | Path) -> tuple[str, ...]:
    """The lines of ``classes.txt``.

    Raises:
        InputError: there is no such file, it is empty, or a name is there twice.
    """
    file = Path(root) / "classes.txt"
    if not file.is_file():
        raise InputError(
            f"{root} does not say what its classes are called: write the names into {file}, one a line in "
            "the order of the mask values, or set class_names in the config."
        )
    names = tuple(line.strip() for line in file.read_text(encoding="utf-8-sig").splitlines() if line.strip())
    if not names or len(set(names)) < len(names):
        raise InputError(f"{file} must have one name a line, each once.")
    return names


def _find(root: Path, split: str) -> tuple[Path, Path]:
    layouts = [
        (root / split / "images", root / split / "masks"),
        (root / "images" / split, root / "masks" / split),
    ]
    for images, masks in layouts:
        if images.is_dir():
            if not masks.is_dir():
                raise InputError(f"{images} has no masks: put them into {masks}.")
            return images, masks
    inner = {name for name in list_names(root) if (root / name / "images").is_dir()}
    raise missing_split(root, split, inner | list_names(root / "images"))


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
