"""Images and objects as annotations state them -> records: shared by formats with a file or row an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pocketvision.core.errors import InputError
from pocketvision.core.structures import Size
from pocketvision.datasets.readers.assemble import FoundBoxes, assemble
from pocketvision.datasets.readers.class_list import ordered_names
from pocketvision.datasets.readers.image_finder import ImageFinder, is_readable
from pocketvision.datasets.readers.image_sizes import find_size
from pocketvision.datasets.readers.tree import FileTree
from pocketvision.datasets.readers.values import short_text
from pocketvision.datasets.records.annotations import DetectionRecords
from pocketvision.datasets.records.kinds import BOX_FROM_OUTLINE, IMAGE_MISSING
from pocketvision.datasets.records.notes import Notes

StatedBox = tuple[float, float, float, float]
Polygon = Sequence[tuple[float, float]]
"""Corners (x, y) of a polygon."""


class StatedMask(NamedTuple):
    """Pixels of an object: a part (h, w) of the image whose top left corner is (left, top)."""

    left: int
    top: int
    pixels: npt.NDArray[np.bool_]

    def bounds(self) -> StatedBox:
        """The sides of the part."""
        height, width = self.pixels.shape
        return self.left, self.top, self.left + width, self.top + height


@dataclass
class StatedObject:
    """One object.

    Attributes:
        label: name of its class.
        where: its place in the file, for sentences: ``line 3``, ``object 2``.
        box: xyxy, None where only ``outlines`` say where it is.
        outlines: its polygons; masks are drawn from them, or from the box where there are none.
        mask: its pixels where a tool states these; ``box`` is then their bounds.
    """

    label: str
    where: str
    box: StatedBox | None = None
    outlines: Sequence[Polygon] = ()
    mask: StatedMask | None = None
    crowd: bool = False
    difficult: bool = False
    area: float | None = None

    def bounds(self) -> StatedBox | None:
        """The box, or the one around the outlines."""
        if self.box is not None:
            return self.box
        corners = [corner for outline in self.outlines for corner in outline]
        if not corners:
            return None
        x, y = zip(*corners, strict=True)
        return min(x), min(y), max(x), max(y)


@dataclass
class StatedImage:
    """One image with its objects.

    Attributes:
        name: the file as the annotation names it; looked for in the layout's folders and below the root.
        file: the annotation file.
        where: the place in it that names the image, for sentences; empty where the file is the image's own.
        size: (height, width) as stated; None is taken from the image.
        path: the image file where the format knows it without search.
        is_relative: boxes and outlines are shares of the image's sides.
    """

    name: str
    file: Path
    where: str = ""
    size: Size | None = None
    objects: list[StatedObject] = field(default_factory=list)
    path: Path | None = None
    image_id: int | None = None
    is_relative: bool = False


@dataclass(frozen=True)
class PlacedImages:
    """Images that were found, each once, with their paths and sizes."""

    images: list[list[StatedImage]]
    paths: list[str]
    sizes: list[Size]
    ids: list[int]


def place_images(
    images: Sequence[StatedImage], split: str, tree: FileTree, folders: Sequence[Path], notes: Notes
) -> PlacedImages:
    """Find the image files and their sizes; what several entries say of one image is put together."""
    finder = ImageFinder(tree, [*folders, tree.root], split, notes)
    placed = PlacedImages([], [], [], [])
    index: dict[str, int] = {}
    for image in images:
        path = image.path or finder.find(image.name, image.file, image.where)
        if path is None:
            _tell_missing(image, finder.folders[0], notes)
            continue
        if not is_readable(str(path), image.file, image.where or short_text(image.name), notes):
            continue
        known = index.get(str(path))
        if known is not None:
            placed.images[known].append(image)
            continue
        size = image.size or find_size(path, notes)
        if size is not None:
            index[str(path)] = len(placed.paths)
            placed.images.append([image])
            placed.paths.append(str(path))
            placed.sizes.append(size)
            placed.ids.append(image.image_id or len(placed.paths))
    return placed


def box_records(
    images: Sequence[StatedImage],
    labels: Sequence[str],
    split: str,
    tree: FileTree,
    notes: Notes,
    *,
    folders: Sequence[Path] = (),
    convention: str = "xyxy",
) -> DetectionRecords:
    """Detection records of one split.

    ``labels`` are the class names of all splits, which are sorted, or brought into the order of a
    ``classes.txt``.

    Raises:
        InputError: no image is left, or ``classes.txt`` lacks a class.
    """
    names = ordered_names(tree, labels)
    placed = place_images(images, split, tree, folders, notes)
    if images and not placed.paths:
        notes.add(IMAGE_MISSING, images[0].file, _no_image(images[0], tree))
    if not placed.paths:
        raise InputError(
            f"Split '{split}' has no images ({tree.given or tree.root}): add some, or name another split."
        )
    found, places = _boxes(placed, names, notes)
    return assemble(
        found,
        places.__getitem__,
        notes,
        root=tree.root,
        image_paths=placed.paths,
        image_ids=placed.ids,
        sizes=placed.sizes,
        class_names=names,
        category_ids=tuple(range(1, len(names) + 1)),
        convention=convention,
    )


def _boxes(
    placed: PlacedImages, names: tuple[str, ...], notes: Notes
) -> tuple[FoundBoxes, list[tuple[Path, str]]]:
    """All boxes, and where each of them is written."""
    found, places = FoundBoxes(), []
    label_of = {name: label for label, name in enumerate(names)}
    for owner, entries in enumerate(placed.images):
        height, width = placed.sizes[owner]
        for image in entries:
            for item in image.objects:
                box, label = item.bounds(), label_of.get(item.label)
                if box is None or label is None:
                    continue
                if item.box is None:
                    sentence = f"{image.file}, {item.where}: the box around its outline is read."
                    notes.add(BOX_FROM_OUTLINE, image.file, sentence, item.where, placed.paths[owner])
                if image.is_relative:
                    box = (box[0] * width, box[1] * height, box[2] * width, box[3] * height)
                found.add(owner, box, label, crowd=item.crowd, difficult=item.difficult, area=item.area)
                places.append((image.file, item.where))
    return found, places


def _tell_missing(image: StatedImage, folder: Path, notes: Notes) -> None:
    place = f"{image.file}, {image.where}," if image.where else f"{image.file}"
    name = short_text(image.name)
    sentence = f"{place} names {name}, which is not in {folder}: add the image, or remove its entry."
    notes.add(IMAGE_MISSING, image.file, sentence, short_text(image.name))


def _no_image(image: StatedImage, tree: FileTree) -> str:
    return f"{image.file} names {short_text(image.name)}, but {tree.root} has none of its images: add them."


def rotated_corners(
    x: float, y: float, width: float, height: float, angle: float
) -> list[tuple[float, float]]:
    """Corners of a box around (x, y) that is turned by ``angle`` radians."""
    cosine, sine = np.cos(angle), np.sin(angle)
    half = (
        (-width / 2, -height / 2),
        (width / 2, -height / 2),
        (width / 2, height / 2),
        (-width / 2, height / 2),
    )
    return [(float(x + a * cosine - b * sine), float(y + a * sine + b * cosine)) for a, b in half]
