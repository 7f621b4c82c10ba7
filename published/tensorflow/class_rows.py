"""Which rows of a file's last layers become which of ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pocketvision.core.errors import InputError
from pocketvision.models import Classifier, Detector, VisionModel
from pocketvision.published.tensorflow.layers import FileArray, Layer
from pocketvision.published.tensorflow.model_layers import ModelLayer

Background = Literal["none", "kept", "dropped", "moved last"]

_TO_OURS = (1, 0, 3, 2)
"""TensorFlow codes a box as ty, tx, th, tw; we as dx, dy, dw, dh."""


@dataclass(frozen=True)
class FileClassRows:
    """The last layers' rows, anchor by anchor: TensorFlow's background is class 0, ours last or absent.

    ``num_outputs`` counts what the model predicts for each anchor, its background included where it
    has one. ``class_ids`` are the file's ids of the model's classes, in their order; by default its
    classes 1, 2 ... where there is a background, else 0, 1 ...
    """

    num_outputs: int
    background: Literal["last", "first or none", "a class"]
    class_ids: tuple[int, ...] | None = None

    @classmethod
    def of(cls, model: VisionModel, class_ids: Sequence[int] | None) -> FileClassRows:
        """The layout of a model's classes.

        Raises:
            InputError: the ids are not as many as the model's classes, or below 0.
        """
        ids = None if class_ids is None else tuple(class_ids)
        names = model.class_names
        if ids is not None and len(ids) != len(names):
            raise InputError(
                f"{len(ids)} class ids are given for the model's {len(names)} classes: give one for each."
            )
        if ids is not None and min(ids, default=0) < 0:
            raise InputError(f"{min(ids)} is no class id: they count from 0, the file's background.")
        if isinstance(model, Detector) and model.score_function == "softmax":
            return cls(len(names) + 1, "last", ids)
        return cls(
            len(names), "first or none" if isinstance(model, Detector | Classifier) else "a class", ids
        )

    def fits(self, own: ModelLayer, layer: Layer) -> bool:
        """Whether the layer predicts whole classes for as many anchors."""
        return len(layer.kernel) % (own.shape[0] // self.num_outputs) == 0

    def fits_well(self, own: ModelLayer, layer: Layer) -> bool:
        """Whether the number of classes is the model's, a background aside."""
        rows, _ = self._rows(layer.kernel.shape[0] // (own.shape[0] // self.num_outputs))
        return rows is not None

    def select(self, own: ModelLayer, layer: Layer) -> tuple[list[int], Background]:
        """For each output channel of ours the file's, and what became of its background.

        Raises:
            InputError: the classes can't be matched by their number.
        """
        num_anchors = own.shape[0] // self.num_outputs
        width = layer.kernel.shape[0] // num_anchors
        rows, background = self._rows(width)
        if rows is None:
            raise InputError(
                f"{layer.name} predicts {width} classes (a background included, if there is one), "
                f"the model {self.num_outputs}: give the model the file's classes, or class_ids."
            )
        return [anchor * width + row for anchor in range(num_anchors) for row in rows], background

    def _rows(self, width: int) -> tuple[list[int] | None, Background]:
        ids = None if self.class_ids is None else list(self.class_ids)
        if ids is not None and max(ids, default=0) >= width:
            return None, "none"
        if self.background == "last":
            if ids is None and width != self.num_outputs:
                return None, "none"
            return [*(range(1, width) if ids is None else ids), 0], "moved last"
        if ids is not None:
            return ids, "kept" if 0 in ids else "dropped"
        if width == self.num_outputs:
            return list(range(width)), "none" if self.background == "a class" else "kept"
        if width == self.num_outputs + 1 and self.background == "first or none":
            return list(range(1, width)), "dropped"
        return None, "none"


def box_rows(channels: int) -> list[int]:
    """For each output channel of our box layer TensorFlow's."""
    return [anchor + code for anchor in range(0, channels, 4) for code in _TO_OURS]


def take_rows(values: FileArray, rows: Sequence[int] | None) -> FileArray:
    """The rows of a kernel or bias; all of them for None."""
    return values if rows is None else np.asarray(values[list(rows)])
