"""Intersection over union of label maps, counted over a whole data set.

Follows cityscapesScripts ``evalPixelLevelSemanticLabeling.py``: IoU = TP / (TP + FP + FN) from one
matrix for all images; a predicted value that is no class costs its true class a miss and no other
class anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pocketvision.core.errors import InputError

LabelMap = NDArray[Any] | Tensor
"""(H, W) class indices of any integer type; uint8 is the fastest."""

_EXACT_PIXELS = 2**24
"""calcHist returns float32 counts, which are exact up to here."""


def confusion_matrix(
    prediction: LabelMap, truth: LabelMap, num_classes: int, ignore_index: int = 255
) -> NDArray[np.int64]:
    """Count the pixels of each (true, predicted) pair of classes: (K, K) int64, a row a true class.

    Pixels whose truth is ``ignore_index`` aren't counted. Neither are predictions outside [0, K):
    a row sums to less than the class's pixels by those; :class:`IoUMetric` counts them as misses.
    Raises :class:`InputError` for maps of different sizes and for other true values outside [0, K).
    """
    return _count_pairs(prediction, truth, num_classes, ignore_index)[:, :num_classes]


class IoUMetric:
    """Collects label maps of single images and computes IoU and pixel accuracy over all of them.

    A class whose name is None is a reserved slot: its pixels count, but it has no entry in
    ``per_class`` and no part in the mean.
    """

    def __init__(self, class_names: Sequence[str | None], ignore_index: int = 255) -> None:
        self._class_names = tuple(class_names)
        self._ignore_index = ignore_index
        self._num_images = 0
        num_classes = len(self._class_names)
        self._counts: NDArray[np.int64] = np.zeros((num_classes, num_classes + 1), dtype=np.int64)

    def update(self, prediction: LabelMap, truth: LabelMap) -> None:
        """Add one image: two (H, W) maps. Raises like :func:`confusion_matrix`."""
        self._counts += _count_pairs(prediction, truth, len(self._class_names), self._ignore_index)
        self._num_images += 1

    def merge(self, other: IoUMetric) -> None:
        """Add the images of another shard. Raises :class:`InputError` if its classes are different."""
        if (self._class_names, self._ignore_index) != (other._class_names, other._ignore_index):
            raise InputError("Only metrics of the same classes and ignore_index can be merged.")
        self._counts += other._counts
        self._num_images += other._num_images

    def compute(self) -> dict[str, Any]:
        """``mIoU`` and ``pixel_accuracy`` (fractions, None if undefined), ``num_images``, ``per_class``.

        ``per_class`` is name -> IoU and num_pixels (of the truth). The IoU of a class that is neither
        in the truth nor predicted is None and left out of the mean.
        """
        num_pixels = self._counts.sum(axis=1)
        hits = self._counts.diagonal()
        unions = num_pixels + self._counts[:, :-1].sum(axis=0) - hits
        per_class = {
            name: {"IoU": _fraction(hits[i], unions[i]), "num_pixels": int(num_pixels[i])}
            for i, name in enumerate(self._class_names)
            if name is not None
        }
        defined = [row["IoU"] for row in per_class.values() if row["IoU"] is not None]
        return {
            "mIoU": sum(defined) / len(defined) if defined else None,
            "pixel_accuracy": _fraction(hits.sum(), num_pixels.sum()),
            "num_images": self._num_images,
            "per_class": per_class,
        }


def _fraction(part: np.int64, whole: np.int64) -> float | None:
    return int(part) / int(whole) if whole else None


def _count_pairs(
    prediction: LabelMap, truth: LabelMap, num_classes: int, ignore_index: int
) -> NDArray[np.int64]:
    """:func:`confusion_matrix` with one more column, the predictions that are no class: (K, K + 1)."""
    predicted, true = _as_labels(prediction, "prediction"), _as_labels(truth, "truth")
    if predicted.shape != true.shape or true.ndim != 2:
        raise InputError(f"Prediction {predicted.shape} and truth {true.shape} must have one (H, W) shape.")
    if predicted.dtype == np.uint8 and true.dtype == np.uint8:
        return _fold(_count_bytes(predicted, true), num_classes, ignore_index)
    return _count_integers(predicted, true, num_classes, ignore_index)


def _as_labels(labels: LabelMap, name: str) -> NDArray[Any]:
    """As uint8 where the values allow it."""
    array = labels.detach().cpu().numpy() if isinstance(labels, Tensor) else np.asarray(labels)
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind not in "biu":
        raise InputError(f"The {name} holds {array.dtype} values, but class indices are integers.")
    if array.min(initial=0) >= 0 and array.max(initial=0) <= 255:
        return array.astype(np.uint8)
    return array.astype(np.int64)


def _count_bytes(prediction: NDArray[np.uint8], truth: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Pixels of every (truth, prediction) pair of bytes: (256, 256)."""
    predicted, true = prediction.reshape(1, -1), truth.reshape(1, -1)
    counts = np.zeros((256, 256), dtype=np.int64)
    for start in range(0, true.size, _EXACT_PIXELS):
        part = slice(start, start + _EXACT_PIXELS)
        # All bytes get a bin, so that no pass over the pixels is needed to mask or check them.
        histogram = cv2.calcHist(
            [true[:, part], predicted[:, part]], [0, 1], None, [256, 256], [0, 256, 0, 256]
        )
        counts += histogram.astype(np.int64)
    return counts


def _fold(pairs: NDArray[np.int64], num_classes: int, ignore_index: int) -> NDArray[np.int64]:
    """Keep K true classes of :func:`_count_bytes` and add up what was predicted beyond them."""
    if 0 <= ignore_index < len(pairs):
        pairs[ignore_index] = 0
    _check_truth(np.flatnonzero(pairs.any(axis=1)), num_classes, ignore_index)
    counts = np.zeros((num_classes, num_classes + 1), dtype=np.int64)
    size = min(num_classes, len(pairs))
    counts[:size, :size] = pairs[:size, :size]
    counts[:size, num_classes] = pairs[:size, size:].sum(axis=1)
    return counts


def _count_integers(
    prediction: NDArray[Any], truth: NDArray[Any], num_classes: int, ignore_index: int
) -> NDArray[np.int64]:
    """The general path, for values that don't fit into a byte."""
    counted = truth != ignore_index
    true, predicted = truth[counted].astype(np.int64), prediction[counted].astype(np.int64)
    _check_truth(true, num_classes, ignore_index)
    predicted[(predicted < 0) | (predicted >= num_classes)] = num_classes
    shape = num_classes, num_classes + 1
    pairs = np.bincount(true * shape[1] + predicted, minlength=shape[0] * shape[1])
    return pairs.astype(np.int64).reshape(shape)


def _check_truth(values: NDArray[Any], num_classes: int, ignore_index: int) -> None:
    wrong = values[(values < 0) | (values >= num_classes)]
    if wrong.size:
        raise InputError(
            f"The truth holds the value {wrong[0]}, but there are {num_classes} classes (0 to "
            f"{num_classes - 1}) and ignored pixels are {ignore_index}."
        )
