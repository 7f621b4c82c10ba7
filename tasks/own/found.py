"""What was found in a data set, and what follows from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pocketvision.core.anchors import ExplicitAnchors
from pocketvision.core.structures import Size
from pocketvision.core.terminal import printable
from pocketvision.datasets.data_module import AnyData
from pocketvision.datasets.formats.detect import FoundData
from pocketvision.datasets.images.survey import EIGHT_BIT_RGB, FoundPixels
from pocketvision.doctor.checks.shapes import ResizeAdvice
from pocketvision.tasks.own.rare_classes import Repeats
from pocketvision.tasks.own.tiles import Tiles

_GOOD_CEILING = 0.9


@dataclass(frozen=True)
class Fitted:
    """What a config takes from training images.

    Attributes:
        anchors: for boxes.
        ceiling: share of the boxes that an anchor overlaps by 0.5, or that hold a cell's center.
        is_dense: whether the anchors are one a cell, for a dense head.
        class_weights: for masks, of mean 1.
        resize: how pictures with boxes or masks are brought to the input's size; None where it is stated.
        max_detections: boxes that a picture may get.
        crop_size: (height, width) of training crops of images with masks.
        repeats: of images with rare classes.
        tiles: of pictures with small boxes.
    """

    anchors: ExplicitAnchors | None = None
    ceiling: float | None = None
    is_dense: bool = False
    class_weights: tuple[float, ...] | None = None
    resize: ResizeAdvice | None = None
    max_detections: int | None = None
    crop_size: Size | None = None
    repeats: Repeats | None = None
    tiles: Tiles | None = None


@dataclass(frozen=True)
class StartingModel:
    """What training starts from: the model of a file that was imported.

    Attributes:
        config: the shipped one whose model function builds it, with ``arguments``.
        task: that it is for.
        model: which of :func:`~pocketvision.core.registered.own_models` is most like it.
        image_size: (height, width) of its input.
        weights: the file.
        score_function: of a detector.
    """

    config: str
    arguments: Mapping[str, Any]
    task: str
    model: str
    image_size: Size
    weights: str
    score_function: str | None = None


@dataclass(frozen=True)
class OwnData:
    """What was found in a data set, and what follows from it but for the recipe.

    Attributes:
        model: one of :func:`~pocketvision.core.registered.own_models`.
        class_names: of the data.
        num_images: of each split that can be read, training and validation first.
        batch_size: chosen, or given.
        image_size: (height, width) of the model's input.
        data: the data module that has read the splits.
        fitted: what else is taken from the training images.
        pixels: which channels they have.
        start: the model that training starts from, where it is another than the family's own.
    """

    found: FoundData
    model: str
    class_names: tuple[str | None, ...]
    num_images: Mapping[str, int]
    batch_size: int
    image_size: Size
    data: AnyData
    fitted: Fitted = Fitted()
    pixels: FoundPixels = EIGHT_BIT_RGB
    start: StartingModel | None = None

    @property
    def num_learned(self) -> int:
        """Training images, or tiles of them with boxes."""
        tiles = self.fitted.tiles
        return next(iter(self.num_images.values())) if tiles is None else len(tiles.learned)

    @property
    def num_drawn(self) -> int | None:
        """Images, or tiles, that an epoch draws, None for each once."""
        repeats, tiles = self.fitted.repeats, self.fitted.tiles
        if tiles is not None:
            threshold = None if repeats is None else repeats.threshold
            return tiles.num_drawn(threshold)
        return None if repeats is None else repeats.num_drawn

    def lines(self) -> list[str]:
        """What a person should know of it."""
        counts = ", ".join(f"{split} {count}" for split, count in self.num_images.items())
        names = [name for name in self.class_names if name is not None]
        shown = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
        height, width = self.image_size
        lines = [
            f"found: {self.found.description}",
            f"task: {self.found.task}",
            f"images: {counts}",
            f"{len(names)} classes: {shown}",
            f"model: {self.model}, input {height}x{width}, batches of {self.batch_size}",
        ]
        if self.start is not None:
            lines.append("the model's form, anchors and normalization are those of the imported file")
        if self.pixels.line is not None:
            lines.append(f"pictures: {self.pixels.line}")
        if self.fitted.resize is not None:
            lines.append(self.fitted.resize.line())
        ceiling = self.fitted.ceiling
        if ceiling is not None:
            hint = "" if ceiling >= _GOOD_CEILING else "; a larger model.image_size would reach more"
            said = f"one reaches {ceiling:.1%} of them at IoU 0.5"
            if self.fitted.is_dense:
                said = f"one a map; {ceiling:.1%} of them hold the center of a cell"
            if self.start is None:
                lines.append(f"anchors: fitted to the boxes; {said}{hint}")
            lines.append(f"at most {self.fitted.max_detections} boxes a picture: model.max_detections")
        if self.fitted.tiles is not None:
            lines.append(self.fitted.tiles.line())
        if self.fitted.repeats is not None:
            lines.append(self.fitted.repeats.line())
        return [printable(line) for line in lines]
