"""A data set as its files state it, mistakes included: what the tolerant parsers return."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pocketvision.core.structures import Size
from pocketvision.doctor.raw.conventions import StatedBoxes

StatedValues = tuple[float, float, float, float]
NO_BOX: StatedValues = (np.nan,) * 4


@dataclass
class RawImage:
    """An image that annotations or lists name.

    Attributes:
        name: as they state it.
        path: the file, or where it was expected.
        exists: whether it is there.
        splits: the splits that it belongs to.
        file: the annotation file or list that names it.
        stated_size: (height, width), if the annotations state one.
        source: what it was read from, in the format's own terms, for ``--fix``.
        is_annotated: False where its annotation could not be read.
    """

    name: str
    path: Path
    exists: bool
    splits: tuple[str, ...]
    file: Path
    stated_size: Size | None = None
    source: Any = None
    is_annotated: bool = True


@dataclass
class RawBoxes:
    """Boxes in the order of the files; all lists have one entry a box.

    ``values`` are the four stated numbers. A box whose ``is_broken`` is set was reported by its parser
    and is left out of everything. ``crowd`` boxes are left out of statistics.
    """

    owners: list[int] = field(default_factory=list)
    values: list[StatedValues] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    is_broken: list[bool] = field(default_factory=list)
    crowd: list[bool] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    where: list[str] = field(default_factory=list)
    sources: list[Any] = field(default_factory=list)

    def add(
        self,
        owner: int,
        values: StatedValues | None,
        label: int,
        file: Path,
        where: str,
        source: Any,
        *,
        crowd: bool = False,
    ) -> None:
        """Add a box; it is broken without ``values``, or with a negative owner or label."""
        self.owners.append(owner)
        self.values.append(NO_BOX if values is None else values)
        self.labels.append(label)
        self.is_broken.append(values is None or owner < 0 or label < 0)
        self.crowd.append(crowd)
        self.files.append(file)
        self.where.append(where)
        self.sources.append(source)

    def __len__(self) -> int:
        return len(self.owners)

    def array(self) -> StatedBoxes:
        """The stated numbers, (B, 4)."""
        return np.array(self.values, dtype=np.float64).reshape(-1, 4)


@dataclass
class RawDetection:
    """A detection data set.

    Attributes:
        root: its folder.
        format: coco, voc, yolo or csv.
        convention: a key of ``CONVENTIONS``.
        class_names: labels index them; names may differ by case only, or be unused.
        images: all that the annotations name.
        boxes: all that they state.
        folders: where images were looked for: others in there are unused.
        sources: what the format's writer needs beside rows: annotation file -> its content.
    """

    root: Path
    format: str
    convention: str
    class_names: list[str] = field(default_factory=list)
    images: list[RawImage] = field(default_factory=list)
    boxes: RawBoxes = field(default_factory=RawBoxes)
    folders: set[Path] = field(default_factory=set)
    sources: dict[Path, Any] = field(default_factory=dict)


@dataclass
class RawPair:
    """An image with its mask; a path that does not exist is where the file was expected."""

    image: Path
    mask: Path
    splits: tuple[str, ...]


@dataclass
class RawSegmentation:
    """A segmentation data set of image and mask files.

    ``values`` are the mask values that mean a class, ``ignored`` those that mean void; ``values`` None
    means that nothing says how many classes there are. ``colors`` are those of a color table, empty if
    there is none, and ``listings`` the files that list the images of a split.
    """

    root: Path
    format: str
    class_names: tuple[str | None, ...] | None
    values: frozenset[int] | None
    ignored: frozenset[int]
    colors: frozenset[tuple[int, int, int]] = frozenset()
    pairs: list[RawPair] = field(default_factory=list)
    listings: dict[str, Path] = field(default_factory=dict)
    unused_masks: list[Path] = field(default_factory=list)
    folders: set[Path] = field(default_factory=set)


@dataclass
class RawClassification:
    """Folders of images a class: (path, class, split) of every image, and all class folders."""

    root: Path
    class_names: list[str] = field(default_factory=list)
    images: list[tuple[Path, str, str]] = field(default_factory=list)
    folders: list[Path] = field(default_factory=list)


def parse_number(value: Any) -> float | None:
    """A number from JSON or text (NaN and infinity too), or None where it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None
