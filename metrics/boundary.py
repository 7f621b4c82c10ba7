"""Boundary IoU (B. Cheng et al., arXiv:2103.16562): IoU of what lies near the edges of the classes.

Pixels inside large areas, which IoU is mostly made of, don't count; a cut corner does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pocketvision.core.errors import InputError
from pocketvision.core.structures import IGNORE_INDEX
from pocketvision.metrics.iou import LabelMap, as_labels, count_bytes

_NO_CLASS = 254
"""Stands for pixels that aren't near an edge."""


def boundary_width(size: Sequence[int], share: float) -> int:
    """Pixels for ``share`` of the diagonal of (height, width), as the authors round it."""
    return max(1, round(share * math.hypot(*size)))


def boundary_map(labels: NDArray[np.uint8], width: int) -> NDArray[np.bool_]:
    """Where (H, W) labels have another label, or the image's border, within ``width`` pixels (a square).

    For every class at once what eroding its mask ``width`` times with a 3x3 square removes: a pixel
    stays where the smallest and the largest label around it are its own.
    """
    kernel = np.ones((2 * width + 1, 2 * width + 1), dtype=np.uint8)
    low = cv2.erode(labels, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    high = cv2.dilate(labels, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=255)
    edge: NDArray[np.bool_] = low != high
    return edge


class BoundaryIoUMetric:
    """Collects label maps and computes IoU over the pixels near the edges of truth and prediction.

    ``share`` of the image's diagonal is what counts as near: 0.02 as for COCO; the authors take 0.005
    for the larger Cityscapes images. Pixels that the truth ignores (255) are ignored in both, and
    their edge is an edge.
    """

    def __init__(self, class_names: Sequence[str | None], share: float = 0.02) -> None:
        if len(class_names) > _NO_CLASS:
            raise ValueError(f"Boundary IoU takes up to {_NO_CLASS} classes, not {len(class_names)}.")
        self._class_names = tuple(class_names)
        self._share = share
        self._counts = np.zeros((len(class_names), 3), dtype=np.int64)

    def update(self, prediction: LabelMap, truth: LabelMap) -> None:
        """Add one image: two (H, W) maps of bytes.

        Raises :class:`InputError` for maps of different sizes or with other values.
        """
        predicted, true = as_labels(prediction, "prediction"), as_labels(truth, "truth")
        if predicted.shape != true.shape or predicted.dtype != np.uint8 or true.dtype != np.uint8:
            raise InputError(
                f"Prediction {predicted.shape} and truth {true.shape} must be bytes of one (H, W) shape."
            )
        width = boundary_width(true.shape, self._share)
        predicted = np.where(true == IGNORE_INDEX, true, predicted)
        near_true = np.where(boundary_map(true, width) | (true == IGNORE_INDEX), true, _NO_CLASS)
        near_predicted = np.where(boundary_map(predicted, width), predicted, _NO_CLASS)
        pairs = count_bytes(near_predicted.astype(np.uint8), near_true.astype(np.uint8))
        pairs[IGNORE_INDEX] = 0
        size = len(self._class_names)
        columns = pairs.diagonal(), pairs.sum(axis=1), pairs.sum(axis=0)
        self._counts += np.stack(columns, axis=1)[:size]

    def merge(self, other: BoundaryIoUMetric) -> None:
        """Add the images of another shard. Raises :class:`InputError` if its classes are different."""
        if (self._class_names, self._share) != (other._class_names, other._share):
            raise InputError("Only metrics of the same classes and share can be merged.")
        self._counts += other._counts

    def compute(self) -> dict[str, Any]:
        """``boundary_mIoU`` and ``per_class``: name -> boundary_IoU. None and left out if nowhere."""
        hits, true, predicted = self._counts.T.tolist()
        per_class: dict[str, dict[str, float | None]] = {}
        for i, name in enumerate(self._class_names):
            union = true[i] + predicted[i] - hits[i]
            if name is not None:
                per_class[name] = {"boundary_IoU": hits[i] / union if union else None}
        defined = [row["boundary_IoU"] for row in per_class.values() if row["boundary_IoU"] is not None]
        return {"boundary_mIoU": sum(defined) / len(defined) if defined else None, "per_class": per_class}
