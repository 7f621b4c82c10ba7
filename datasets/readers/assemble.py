"""From what a reader found to :class:`DetectionRecords`: boxes sorted by image, mended and clipped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pocketvision.datasets.images.upright import turn_stored
from pocketvision.datasets.readers.box_faults import mend_boxes, tell_twice
from pocketvision.datasets.records.annotations import DetectionRecords
from pocketvision.datasets.records.kinds import BOX_RELATIVE, IMAGE_TURNED
from pocketvision.datasets.records.notes import Notes

FloatBoxes = npt.NDArray[np.float64]
BoxPlace = Callable[[int], tuple[Path, str] | str]
"""The file of the i-th box found, and the place in it; or both in one text."""


class BoxArrays(NamedTuple):
    """Boxes in any order: what :class:`FoundBoxes` lists as arrays; an area of NaN is width * height.

    ``rows`` are the numbers of their entries in the annotation file, for formats that are one; in records
    -1 where a box was moved, so that the entry's outline is not where the box is.
    """

    owners: npt.NDArray[np.int64]
    boxes: FloatBoxes
    labels: npt.NDArray[np.int64]
    crowd: npt.NDArray[np.bool_]
    difficult: npt.NDArray[np.bool_]
    areas: npt.NDArray[np.float64]
    rows: npt.NDArray[np.int64] | None = None


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
    rows: list[int] = field(default_factory=list)

    def add(
        self,
        owner: int,
        box: tuple[float, float, float, float],
        label: int,
        *,
        crowd: bool = False,
        difficult: bool = False,
        area: float | None = None,
        row: int | None = None,
    ) -> None:
        self.owners.append(owner)
        self.boxes.append(box)
        self.labels.append(label)
        self.crowd.append(crowd)
        self.difficult.append(difficult)
        self.areas.append(area)
        if row is not None:
            self.rows.append(row)

    def arrays(self) -> BoxArrays:
        return BoxArrays(
            np.array(self.owners, dtype=np.int64),
            np.array(self.boxes, dtype=np.float64).reshape(-1, 4),
            np.array(self.labels, dtype=np.int64),
            np.array(self.crowd, dtype=np.bool_),
            np.array(self.difficult, dtype=np.bool_),
            np.array([np.nan if area is None else area for area in self.areas], dtype=np.float64),
            np.array(self.rows, dtype=np.int64) if self.rows else None,
        )


def assemble(
    found: FoundBoxes | BoxArrays,
    place_of: BoxPlace,
    notes: Notes | None = None,
    *,
    root: Path,
    image_paths: Sequence[str],
    image_ids: Sequence[int],
    sizes: Sequence[tuple[int, int]],
    class_names: tuple[str | None, ...],
    category_ids: tuple[int, ...],
    convention: str = "xyxy",
    annotation_file: str | None = None,
) -> DetectionRecords:
    """Records of the images and their boxes.

    What is repaired or left out is told to ``notes``, or else to the records. ``convention`` is how the
    file states boxes, a key of ``CONVENTIONS``; they are xyxy pixels by it already, and another one is
    looked for where these do not lie in their images.
    """
    if isinstance(found, FoundBoxes):
        found = found.arrays()
    told, pair_of = Notes() if notes is None else notes, _paired(place_of)
    owners, image_sizes = found.owners, np.array(sizes, dtype=np.int32).reshape(-1, 2)
    boxes, keep = mend_boxes(found.boxes, owners, image_sizes, image_paths, convention, pair_of, told)
    turned = turn_stored(image_paths, image_sizes, owners, boxes)
    _tell_turned(turned, image_paths, told)
    if found.rows is not None and (turned or BOX_RELATIVE in told.counts):
        elsewhere = np.isin(owners, turned) | (BOX_RELATIVE in told.counts)
        found = found._replace(rows=np.where(elsewhere, -1, found.rows))
    if not told.strict:
        tell_twice(boxes, owners, found.labels, keep & ~found.crowd, image_paths, pair_of, told)
    kept = np.flatnonzero(keep)
    return DetectionRecords(
        root=str(root),
        image_paths=image_paths,
        image_ids=np.array(image_ids, dtype=np.int64),
        sizes=image_sizes,
        class_names=class_names,
        category_ids=category_ids,
        annotation_file=annotation_file,
        notes=told.as_notes() if notes is None else (),
        **_by_image(found, boxes, kept[np.argsort(owners[kept], kind="stable")], len(image_paths)),
    )


def _paired(place_of: BoxPlace) -> Callable[[int], tuple[Path, str]]:
    def pair_of(i: int) -> tuple[Path, str]:
        place = place_of(i)
        return (Path(place), "") if isinstance(place, str) else place

    return pair_of


def _by_image(
    found: BoxArrays, boxes: FloatBoxes, order: npt.NDArray[np.int64], num_images: int
) -> dict[str, Any]:
    """What records hold of the boxes ``order``, which are sorted by image."""
    counts = np.bincount(found.owners[order], minlength=num_images)
    own = boxes[order]
    stated = found.areas[order]
    return {
        "offsets": np.concatenate(([0], np.cumsum(counts))).astype(np.int64),
        "boxes": own.astype(np.float32),
        "labels": found.labels[order],
        "crowd": found.crowd[order],
        "areas": np.where(np.isnan(stated), (own[:, 2:] - own[:, :2]).prod(axis=1), stated),
        "difficult": found.difficult[order],
        "rows": None if found.rows is None else found.rows[order],
    }


def _tell_turned(images: list[int], paths: Sequence[str], notes: Notes) -> None:
    for index in images:
        path = paths[index]
        sentence = (
            f"{path} is turned by EXIF, and its annotations state the size before it: its boxes are turned "
            "too."
        )
        notes.add(IMAGE_TURNED, path, sentence, "", path)
