"""The result of an examination, as the JSON file holds it."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pocketvision.datasets.images.survey import EIGHT_BIT_RGB, FoundPixels
from pocketvision.datasets.records.notes import NotedBox
from pocketvision.doctor.anchors.points import PointReport
from pocketvision.doctor.anchors.summary import AnchorReport
from pocketvision.doctor.anchors.tiles import TileAdvice
from pocketvision.doctor.checks.detail import MaskTileAdvice
from pocketvision.doctor.checks.shapes import ResizeAdvice
from pocketvision.doctor.findings import Findings
from pocketvision.doctor.kinds import KINDS

SIDE_EDGES = (0, 8, 16, 32, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
"""Edges of the histogram of box sizes: square roots of areas, in pixels of the images."""


class SampleImage(NamedTuple):
    """An image as training sees it: boxes with their labels, indices of ``class_names``, or a mask file."""

    image: str
    boxes: tuple[NotedBox, ...] = ()
    labels: tuple[int, ...] = ()
    class_names: tuple[str, ...] = ()
    mask: str | None = None


@dataclass
class Report:
    """What was looked at and what was found.

    Attributes:
        root: the data set.
        format: its format.
        task: detection, segmentation or classification.
        splits: images of each split.
        num_images: images in all, each counted once.
        num_boxes: boxes that can be used.
        class_counts: split -> class -> boxes, pixels or images.
        unit: which of these.
        findings: all findings.
        sides: (B,) square roots of the areas of the boxes, in pixels.
        anchors: for detection.
        points: for detection, what the finest map of a dense head can hold.
        tiles: those that boxes or masks need.
        samples: some images, for people to look at.
        seconds: how long it took.
        pixels: what training reads the pictures as.
        resize: how they are best brought to the input's size.
    """

    root: Path
    format: str
    task: str
    splits: dict[str, int]
    num_images: int
    unit: str
    num_boxes: int = 0
    class_counts: dict[str, Counter[str]] = field(default_factory=dict)
    findings: Findings = field(default_factory=Findings)
    sides: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    anchors: AnchorReport | None = None
    points: PointReport | None = None
    tiles: TileAdvice | MaskTileAdvice | None = None
    samples: list[SampleImage] = field(default_factory=list)
    seconds: float = 0.0
    pixels: FoundPixels = EIGHT_BIT_RGB
    resize: ResizeAdvice | None = None

    @property
    def total_counts(self) -> Counter[str]:
        """Class -> examples in the splits that do not repeat another one."""
        whole = "trainval" in self.class_counts
        parts = [s for s in self.class_counts if not (whole and s in ("train", "val"))]
        return sum((self.class_counts[split] for split in parts), Counter())

    def histogram(self) -> list[tuple[str, int]]:
        """(range of sides in pixels, boxes)."""
        counts, _ = np.histogram(self.sides, bins=(*SIDE_EDGES, np.inf))
        ends = [
            *(f"{a} to {b}" for a, b in pairwise(SIDE_EDGES)),
            f"{SIDE_EDGES[-1]} up",
        ]
        return [(name, int(count)) for name, count in zip(ends, counts, strict=True)]

    def summary(self) -> str:
        """How many errors, warnings and notes there are."""
        words = (("error", "error"), ("warning", "warning"), ("info", "note"))
        counts = [(self.findings.num(severity), word) for severity, word in words]  # type: ignore[arg-type]
        return ", ".join(f"{count} {word}{'' if count == 1 else 's'}" for count, word in counts)

    def as_json(self) -> dict[str, Any]:
        """The JSON report; of a kind with very many findings it lists the first."""
        kinds = {
            kind: {"severity": about.severity, "count": self.findings.counts[kind], "fix": about.fix}
            for kind, about in KINDS.items()
            if self.findings.counts[kind]
        }
        return {
            "root": str(self.root),
            "format": self.format,
            "task": self.task,
            "num_images": self.num_images,
            "num_boxes": self.num_boxes,
            "splits": self.splits,
            "num_errors": self.findings.num("error"),
            "num_warnings": self.findings.num("warning"),
            "kinds": kinds,
            "findings": [finding.as_row() for finding in self.findings.in_order()],
            "class_counts": {"unit": self.unit, **self.class_counts},
            "box_sides": dict(self.histogram()) if self.task == "detection" else {},
            "anchors": None if self.anchors is None else self.anchors.as_row(),
            "resize": None if self.resize is None else {"mode": self.resize.mode, **self.resize._asdict()},
            "pixels": {**asdict(self.pixels.pixels), "mean": self.pixels.mean, "std": self.pixels.std},
            "points": None if self.points is None else self.points.as_row(),
            "tiles": None if self.tiles is None else self.tiles.as_row(),
            "seconds": round(self.seconds, 1),
        }
