"""From what a reader found to :class:`DetectionRecords`: boxes sorted by image, clipped and cleaned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pocketvision.datasets.images.upright import turn_stored
from pocketvision.datasets.records.annotations import DetectionRecords

FloatBoxes = npt.NDArray[np.float64]


class BoxArrays(NamedTuple):
    """Boxes in any order: what :class:`FoundBoxes` lists as arrays; an area of NaN is width * height."""

    owners: npt.NDArray[np.int64]
    boxes: FloatBoxes
    labels: npt.NDArray[np.int64]
    crowd: npt.NDArray[np.bool_]
    difficult: npt.NDArray[np.bool_]
    areas: npt.NDArray[np.float64]


@dataclass
class FoundBoxes:
    """Boxes in the order in which a reader meets them; all lists have one entry a box.

    ``owners`` index the images, ``boxes`` are xyxy pixels, an area of None is width * height.
    """

    owners: list[int] = field(default_factory=list)
    boxes: list[tuple[float, float, float, float]] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    crowd: list[bool] = field(default_factory=list)
    difficult: list[bool] = field(default_factory=list)
    areas: list[float | None] = field(default_factory=list)

    def arrays(self) -> BoxArrays:
        return BoxArrays(
            np.array(self.owners, dtype=np.int64),
            np.array(self.boxes, dtype=np.float64).reshape(-1, 4),
            np.array(self.labels, dtype=np.int64),
            np.array(self.crowd, dtype=np.bool_),
            np.array(self.difficult, dtype=np.bool_),
            np.array([np.nan if area is None else area for area in self.areas], dtype=np.float64),
        )


def assemble(
    found: FoundBoxes | BoxArrays,
    name_of: Callable[[int], str],
    *,
    root: Path,
    image_paths: list[str],
    image_ids: list[int],
    sizes: list[tuple[int, int]],
    class_names: tuple[str | None, ...],
    category_ids: tuple[int, ...],
    annotation_file: str | None = None,
) -> DetectionRecords:
    """Records of the images and their boxes; ``name_of(i)`` names the i-th box found in a note."""
    if isinstance(found, FoundBoxes):
        found = found.arrays()
    owners, original = found.owners, found.boxes
    image_sizes = np.array(sizes, dtype=np.int32).reshape(-1, 2)
    boxes = _clip(original, image_sizes[owners])
    sides = boxes[:, 2:] - boxes[:, :2]
    areas = np.where(np.isnan(found.areas), sides.prod(axis=1), found.areas)
    keep = np.asarray((sides > 0).all(axis=1), dtype=np.bool_)
    beyond = np.asarray(keep & (np.abs(boxes - original) > 1).any(axis=1), dtype=np.bool_)
    turned = turn_stored(image_paths, image_sizes, owners, boxes)
    order = np.argsort(owners[keep], kind="stable")
    counts = np.bincount(owners[keep], minlength=len(image_paths))
    return DetectionRecords(
        root=str(root),
        image_paths=image_paths,
        image_ids=np.array(image_ids, dtype=np.int64),
        sizes=image_sizes,
        offsets=np.concatenate(([0], np.cumsum(counts))).astype(np.int64),
        boxes=boxes[keep][order].astype(np.float32),
        labels=found.labels[keep][order],
        crowd=found.crowd[keep][order],
        areas=areas[keep][order],
        class_names=class_names,
        category_ids=category_ids,
        annotation_file=annotation_file,
        notes=(
            *_note(~keep, name_of, "without area inside their image were dropped"),
            *_note(beyond, name_of, "reached more than a pixel beyond their image and were clipped"),
            *_turned(turned, image_paths),
        ),
        difficult=found.difficult[keep][order],
    )


def _turned(images: list[int], paths: list[str]) -> tuple[str, ...]:
    if not images:
        return ()
    what = "1 image is" if len(images) == 1 else f"{len(images)} images are"
    return (
        f"{what} turned by EXIF, and as their annotations state the sizes before it, "
        f"their boxes were turned too (first: {paths[images[0]]}).",
    )


def _clip(boxes: FloatBoxes, sizes: npt.NDArray[np.int32]) -> FloatBoxes:
    limits = np.concatenate((sizes[:, ::-1], sizes[:, ::-1]), axis=1)
    return np.clip(boxes, 0.0, limits)


def _note(where: npt.NDArray[np.bool_], name_of: Callable[[int], str], what: str) -> tuple[str, ...]:
    count = int(where.sum())
    if not count:
        return ()
    noun = "boxes" if count > 1 else "box"
    return (f"{count} {noun} {what} (first: {name_of(int(np.argmax(where)))}).",)
