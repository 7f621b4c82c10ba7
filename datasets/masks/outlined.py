"""Masks drawn from the polygons or pixels that labeling tools state; a box is filled."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pocketvision.core.errors import InputError
from pocketvision.core.structures import Size
from pocketvision.datasets.coco.run_lengths import box_runs, draw, polygons_of, runs_of
from pocketvision.datasets.masks.drawn import BACKGROUND, DrawnObject, drawn_records
from pocketvision.datasets.readers.class_list import ordered_names
from pocketvision.datasets.readers.stated import StatedImage, StatedObject, place_images
from pocketvision.datasets.readers.tree import FileTree
from pocketvision.datasets.records.annotations import SegmentationRecords
from pocketvision.datasets.records.kinds import OUTLINE_IS_BOX
from pocketvision.datasets.records.notes import Notes


def outlined_records(
    images: Sequence[StatedImage],
    labels: Sequence[str],
    split: str,
    tree: FileTree,
    notes: Notes,
    *,
    folders: Sequence[Path] = (),
) -> SegmentationRecords:
    """Masks of one split; class 0 is the background, the others are in the order of ``ordered_names``.

    Raises:
        InputError: no image is left, or no object has an outline.
    """
    where = tree.given or tree.root
    if not any(item.outlines or item.mask for image in images for item in image.objects):
        raise InputError(f"{where} has boxes but no polygons: use it for detection.")
    names = [name for name in ordered_names(tree, labels) if name != BACKGROUND]
    placed = place_images(images, split, tree, folders, notes)
    if not placed.paths:
        raise InputError(f"Split '{split}' has no images ({where}): add some, or name another split.")
    value_of = {name: value for value, name in enumerate(names, start=1)}

    def start(told: Notes) -> Any:
        def objects_of(index: int) -> tuple[Size, list[DrawnObject]]:
            size = placed.sizes[index]
            objects = ((image, item) for image in placed.images[index] for item in image.objects)
            drawn = (_draw(image, item, size, value_of, told) for image, item in objects)
            return size, [found for found in drawn if found is not None]

        return objects_of

    files = sorted({image.file for image in images})
    key = ("outlined", split, *files)
    return drawn_records(key, placed.paths, placed.sizes, placed.ids, names, start, notes)


def _draw(
    image: StatedImage, item: StatedObject, size: Size, value_of: dict[str, int], notes: Notes
) -> DrawnObject | None:
    value = value_of.get(item.label, 0)
    if item.mask is not None:
        return DrawnObject(value, runs_of(*item.mask, size))
    height, width = size
    scale = (width, height) if image.is_relative else (1, 1)
    corners = [[(x * scale[0], y * scale[1]) for x, y in outline] for outline in item.outlines]
    parts, _ = polygons_of([[side for corner in outline for side in corner] for outline in corners], size)
    if parts:
        return DrawnObject(value, draw(parts, size))
    box = item.bounds()
    if box is None:
        return None
    place = f"{image.file}, {item.where}"
    sentence = f"{place}: it has no outline, and its box is filled."
    notes.add(OUTLINE_IS_BOX, image.file, sentence, item.where)
    left, top, right, bottom = (side * s for side, s in zip(box, scale * 2, strict=True))
    return DrawnObject(value, box_runs((left, top, right, bottom), size))
