"""A folder of images a class (ImageFolder), one such set of folders a split."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path

import numpy as np

from pocketvision.core.errors import InputError
from pocketvision.datasets.readers.folders import (
    empty_split,
    existing_root,
    is_image,
    list_names,
    missing_split,
    walk,
)
from pocketvision.datasets.records.annotations import ClassificationRecords
from pocketvision.datasets.records.splits import ALL, canonical, find_split, split_of


def read_image_folder(root: str | Path, split: str) -> ClassificationRecords:
    """Read ``{split}/{class}/`` below ``root``, or ``{class}/`` where ``root`` is the class folders.

    The latter stands for whichever split is asked for, with a note except for ``all``.
    Classes are the folders in alphabetical order, with or without images, as in torchvision; for
    ImageNet these are the WordNet ids (n01440764, ...) in the order of published models. Images may
    lie in folders of their class folder. Names that begin with a dot are skipped. An image id is the
    rank of the image in its split, from 1.

    Raises:
        InputError: the split does not exist, or has no class folder or no image.
    """
    folder = existing_root(root)
    classes, notes = _find(folder, split)
    names = _subfolders(classes)
    image_paths: list[str] = []
    counts, others = [], []
    for name in names:
        images, rest = _list_files(classes / name)
        image_paths += images
        counts.append(len(images))
        others += rest
    if not names:
        raise InputError(f"{classes} has no folders: put the images of each class into a folder of its name.")
    if not image_paths:
        raise empty_split(classes, split)
    if others:
        notes.append(f"{len(others)} files are no images and are left out (first: {others[0]}).")
    return ClassificationRecords(
        root=str(classes),
        image_paths=image_paths,
        image_ids=np.arange(1, len(image_paths) + 1),
        labels=np.repeat(np.arange(len(names)), counts),
        class_names=tuple(names),
        notes=tuple(notes),
    )


def image_folder_splits(root: Path) -> tuple[str, ...]:
    """Splits that have folders of classes, or ``all`` if ``root`` has; one class alone is none."""
    splits = [name for name in _subfolders(root) if split_of(name) and _has_classes(root / name)]
    return tuple(canonical(name) for name in splits) or ((ALL,) if _has_classes(root) else ())


def _has_classes(folder: Path) -> bool:
    """Whether two folders have images; train and val with images are no classes."""
    names = (name for name in _subfolders(folder) if split_of(name) is None)
    with_images = (name for name in names if any(map(is_image, list_names(folder / name))))
    return len(list(islice(with_images, 2))) == 2


def _find(root: Path, split: str) -> tuple[Path, list[str]]:
    """The folder of class folders, and a note where it is not the split's own."""
    names = _subfolders(root)
    own = find_split(names, split)
    if own is not None:
        return root / own, []
    # Folders of splits hold class folders and no images.
    if not any(is_image(name) for folder in names for name in list_names(root / folder)):
        raise missing_split(root, split, names)
    if split == ALL:
        return root, []
    return root, [f"{root} has no folder '{split}': all its class folders stand for this split."]


def _subfolders(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))


def _list_files(folder: Path) -> tuple[list[str], list[str]]:
    """Paths of the images in ``folder`` and below, sorted, and of the files that are no images."""
    images: list[str] = []
    others: list[str] = []
    for parent, names in walk(Path(folder)):
        for name in names:
            if not name.startswith("."):
                (images if is_image(name) else others).append(os.path.join(parent, name))  # noqa: PTH118
    return images, others
