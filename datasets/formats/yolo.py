"""YOLO: a text file an image with ``class x y width height`` a box, as fractions of the image's sides.

Format: https://docs.ultralytics.com/datasets/detect; x and y are the box's center. Lines with more
columns are polygons of segmentation data, and stand for their boxes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pocketvision.core.errors import InputError
from pocketvision.core.progress import track
from pocketvision.core.structures import Size
from pocketvision.datasets.convert import write_yolo
from pocketvision.datasets.formats.contract import DataFormat, Layout, read_split
from pocketvision.datasets.readers.assemble import FoundBoxes, assemble
from pocketvision.datasets.readers.conventions import guess_convention
from pocketvision.datasets.readers.image_finder import ImageFinder
from pocketvision.datasets.readers.image_sizes import find_size
from pocketvision.datasets.readers.text import read_lines
from pocketvision.datasets.readers.tree import FileTree, is_folder, is_image
from pocketvision.datasets.readers.values import short_text
from pocketvision.datasets.readers.yolo_labels import (
    MAX_FRACTION,
    YoloLine,
    expected_label,
    find_labels,
    read_label,
)
from pocketvision.datasets.readers.yolo_layouts import YoloLayout, find_yolo
from pocketvision.datasets.records.annotations import DetectionRecords
from pocketvision.datasets.records.kinds import BOX_NOT_SHARE, IMAGE_BACKGROUND, IMAGE_MISSING
from pocketvision.datasets.records.notes import Notes

_WALL = 1e6
"""Shares beyond this are no numbers that a box could have in any convention."""


def find(tree: FileTree) -> Layout | None:
    """Splits are those of the yaml, else ``images/{split}`` or ``{split}/images`` beside ``labels``, else
    ``{split}.txt``, else the only split is ``all``.
    """
    found = find_yolo(tree)
    if found is None or not (found.sources or found.broken):
        return None
    return Layout(tree, dict.fromkeys(found.sources, found), found.file, found.broken)


def read(layout: Layout, split: str, notes: Notes) -> DetectionRecords:
    """An image without label file, or with an empty one, is a background image. An image id is the rank of
    the image in its split, from 1.
    """
    found: YoloLayout = layout.splits[split]
    tree = layout.tree
    notes.read.add(str(found.file))
    images, sizes = images_of(found, split, tree, notes)
    labels = find_labels(images, split, found, tree, notes)
    if not labels:
        raise InputError(
            f"None of the {len(images)} images has labels: put those of {images[0]} into "
            f"{expected_label(images[0], tree)}."
        )
    _tell_background([image for image in images if image not in labels], notes)
    labeled = [image for image in images if image in labels]
    shown = track(iter(labeled), len(labeled), f"labels of {split}", "files")
    lines = [(image, read_label(labels[image], found, notes)) for image in shown]
    index = {image: i for i, image in enumerate(images)}
    boxes, places = _boxes(
        [(index[image], labels[image], line) for image, own in lines for line in own], sizes, found, notes
    )
    return assemble(
        boxes,
        places.__getitem__,
        notes,
        root=found.folder,
        image_paths=[str(image) for image in images],
        image_ids=list(range(1, len(images) + 1)),
        sizes=sizes,
        class_names=found.class_names,
        category_ids=tuple(-1 if name is None else i for i, name in enumerate(found.class_names)),
        convention="yolo",
    )


def images_of(layout: YoloLayout, split: str, tree: FileTree, notes: Notes) -> tuple[list[Path], list[Size]]:
    """The images of a split, folders and lists in the order of the file, each image once, and their sizes.

    Raises:
        InputError: there is none.
    """
    paths: dict[Path, None] = {}
    for source in layout.sources[split]:
        found = (
            tree.images_below(source) if is_folder(source) else _listed(source, split, layout, tree, notes)
        )
        paths |= dict.fromkeys(found)
    looked_at = track(iter(paths), len(paths), f"sizes of {split}", "images")
    sizes = {path: size for path in looked_at if (size := find_size(path, notes)) is not None}
    if not sizes:
        where = layout.sources[split][0]
        raise InputError(f"Split '{split}' has no images ({where}): add some, or name another split.")
    return list(sizes), list(sizes.values())


def read_yolo(root: str | Path, split: str) -> DetectionRecords:
    """Read a YOLO split; ``root`` is the folder or its data.yaml. See :func:`read`.

    Raises:
        InputError: a file is missing or a line is wrong; the sentence names it.
    """
    records: DetectionRecords = read_split(FORMAT, root, split)
    return records


def _listed(file: Path, split: str, layout: YoloLayout, tree: FileTree, notes: Notes) -> list[Path]:
    """The images that a list names, relative to it or to the data's folder, or by the end of their paths."""
    if is_image(file.name):
        return [file]
    notes.read.add(str(file))
    finder = ImageFinder(tree, [file.parent, layout.folder], split, notes)
    images = []
    for number, line in enumerate(read_lines(file, notes), start=1):
        path = finder.find(line, file, f"image {number}")
        if path is None:
            sentence = (
                f"{file}, image {number} names {short_text(line)}, which is nowhere below {layout.folder}: "
                "add it, or remove the line."
            )
            notes.add(IMAGE_MISSING, file, sentence, f"image {number}")
        else:
            images.append(path)
    return images


def _tell_background(images: Sequence[Path], notes: Notes) -> None:
    for image in images:
        if notes.is_full(IMAGE_BACKGROUND):
            notes.count(IMAGE_BACKGROUND)
            continue
        sentence = f"{image} has no label file, and counts as background: add an empty one if it is."
        notes.add(IMAGE_BACKGROUND, image, sentence, "", image)


def _boxes(
    lines: list[tuple[int, Path, YoloLine]], sizes: list[Size], layout: YoloLayout, notes: Notes
) -> tuple[FoundBoxes, list[tuple[Path, str]]]:
    """The boxes in pixels, and where each of them is written."""
    stated = np.array([line.box for _, _, line in lines], dtype=np.float64).reshape(-1, 4)
    own = np.array([sizes[owner] for owner, _, _ in lines], dtype=np.float64).reshape(-1, 2)
    scale = own[:, [1, 0, 1, 0]]
    boxes = (
        np.concatenate((stated[:, :2] - stated[:, 2:] / 2, stated[:, :2] + stated[:, 2:] / 2), axis=1) * scale
    )
    far = np.asarray((np.abs(stated) > MAX_FRACTION).any(axis=1))
    if far.any() and guess_convention(boxes, own, "yolo") != "yolo":
        far = np.asarray((np.abs(stated) > _WALL).any(axis=1))  # the other convention is told of all at once
    found, places = FoundBoxes(), []
    for (owner, file, line), box, is_far in zip(lines, boxes.tolist(), far.tolist(), strict=True):
        where = f"line {line.number}"
        if is_far:
            sentence = (
                f"{file}, {where} has numbers that are no fractions of the image: divide pixels by its sides."
            )
            notes.add(BOX_NOT_SHARE, file, sentence, where)
            continue
        found.add(owner, (box[0], box[1], box[2], box[3]), line.label)
        places.append((file, where))
    return found, places


FORMAT = DataFormat(
    name="yolo",
    task="detection",
    title="YOLO boxes",
    signs="data.yaml, or folders images and labels",
    find=find,
    read=read,
    write=write_yolo.WRITER,
    data_module="YoloDataModule",
)
