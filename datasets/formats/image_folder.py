"""A folder of images a class (ImageFolder), one such set of folders a split."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np

from pocketvision.core.errors import InputError
from pocketvision.datasets.formats.contract import DataFormat, Layout
from pocketvision.datasets.readers.tree import FileTree, is_folder, is_image, picture_names
from pocketvision.datasets.records.annotations import ClassificationRecords
from pocketvision.datasets.records.kinds import FILE_UNUSED, SPLIT_WHOLE
from pocketvision.datasets.records.notes import Notes
from pocketvision.datasets.records.splits import ALL, find_split, one_of_each, split_of

_NOT_CLASSES = ("labels", "annotations", "masks", "images", "jpegimages", "imagesets")


def find(tree: FileTree) -> Layout | None:
    """``{split}/{class}/``, or ``all`` if the root has folders of classes; one class alone is none."""
    if tree.given is not None:
        return None
    own = [folder for folder in tree.folders(tree.root) if split_of(folder.name)]
    own = [folder for folder in own if _has_classes(folder, tree, needed=1)]
    if own:
        return Layout(tree, one_of_each({folder.name: folder for folder in own}, tree.root))
    return Layout(tree, {ALL: tree.root}) if _has_classes(tree.root, tree) else None


def read(layout: Layout, split: str, notes: Notes) -> ClassificationRecords:
    """Classes are the folders in alphabetical order, with or without images, as in torchvision; for
    ImageNet these are the WordNet ids (n01440764, ...) in the order of published models. Images may
    lie in folders of their class folder. Names that begin with a dot are skipped. An image id is the
    rank of the image in its split, from 1.
    """
    tree, folder = layout.tree, layout.splits[split]
    names = [inner.name for inner in tree.folders(folder)]
    image_paths: list[str] = []
    counts = []
    for name in names:
        before = len(image_paths)
        for place, listing in tree.walk(folder / name):
            pictures = set(picture_names(listing.files))
            for file in listing.files:
                if file in pictures:
                    image_paths.append(f"{place}/{file}")
                else:
                    _tell_other(place / file, notes)
        counts.append(len(image_paths) - before)
    if not names:
        raise InputError(f"{folder} has no folders: put the images of each class into a folder of its name.")
    if not image_paths:
        raise InputError(f"Split '{split}' has no images ({folder}): add some, or name another split.")
    return ClassificationRecords(
        root=str(folder),
        image_paths=image_paths,
        image_ids=np.arange(1, len(image_paths) + 1),
        labels=np.repeat(np.arange(len(names)), counts),
        class_names=tuple(names),
    )


def read_image_folder(root: str | Path, split: str) -> ClassificationRecords:
    """Read ``{split}/{class}/`` below ``root``, or ``{class}/`` where ``root`` is the class folders.

    ``split`` is the name of a folder, or one that :func:`find` gives it. Class folders stand for whichever
    split is asked for, with a note except for ``all``.

    Raises:
        InputError: the split does not exist, or has no class folder or no image; or two folders are of it.
    """
    place = Path(root).expanduser()
    if not is_folder(place):
        raise InputError(f"There is no data folder {place}: set data.root to where the data set lies.")
    tree, notes = FileTree(place), Notes()
    folders = {folder.name: folder for folder in tree.folders(place)}
    if find_split(folders, split) is None:
        found = find(tree)
        folders |= {} if found is None or ALL in found.splits else found.splits
    if find_split(folders, split) is None and any(tree.images(folder) for folder in folders.values()):
        # Folders of splits hold class folders and no images.
        if split != ALL:
            sentence = f"{place} has no folder '{split}': all its class folders stand for this split."
            notes.add(SPLIT_WHOLE, place, sentence, f"there is no folder '{split}'")
        folders = {split: place}
    records = FORMAT.read_layout(Layout(tree, folders), split, notes)
    assert isinstance(records, ClassificationRecords)
    return records


def _tell_other(path: Path, notes: Notes) -> None:
    if notes.is_full(FILE_UNUSED):
        notes.count(FILE_UNUSED)
    else:
        notes.add(FILE_UNUSED, path, f"{path} has no suffix of an image that is read: convert or remove it.")


def _has_classes(folder: Path, tree: FileTree, needed: int = 2) -> bool:
    """Whether there are two folders, and ``needed`` have images; train and val with images are no classes."""
    names = [
        inner
        for inner in tree.folders(folder)
        if split_of(inner.name) is None and inner.name.lower() not in _NOT_CLASSES
    ]
    with_images = (inner for inner in names if any(map(is_image, tree.listing(inner).files)))
    return len(names) > 1 and len(list(islice(with_images, needed))) == needed


FORMAT = DataFormat(
    name="image_folder",
    task="classification",
    title="folders of classes",
    signs="a folder of images for each class",
    find=find,
    read=read,
    data_module="ImageFolderDataModule",
    weak=True,
)
