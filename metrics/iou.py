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
from pocketvision.core.structures import OTHER_INDEX

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
    return _count_pairs(prediction, truth, num_classes, ignore_index)[:num_classes, :num_classes]


class IoUMetric:
    """Collects label maps of single images and computes IoU and pixel accuracy over all of them.

    A class whose name is None is a reserved slot: its pixels count, but it has no entry in
    ``per_class`` and no part in the mean. Pixels whose truth is ``OTHER_INDEX`` are of none of the classes:
    what is predicted there is wrong.
    """

    def __init__(self, class_names: Sequence[str | None], ignore_index: int = 255) -> None:
        self.class_names = tuple(class_names)
        self._ignore_index = ignore_index
        size = len(self.class_names) + 1  # the last row and column are no class
        self._counts: NDArray[np.int64] = np.zeros((size, size), dtype=np.int64)
        self._images: dict[int, NDArray[np.int64]] = {}

    def update(self, prediction: LabelMap, truth: LabelMap, image_id: int) -> None:
        """Add one image: two (H, W) maps. Raises like :func:`confusion_matrix`, and for an image that
        is already counted."""
        if image_id in self._images:
            raise InputError(f"Image {image_id} is counted twice: give every image to the metric once.")
        counts = _count_pairs(prediction, truth, len(self.class_names), self._ignore_index)
        self._counts += counts
        columns = counts.diagonal(), counts.sum(axis=1), counts.sum(axis=0)
        self._images[image_id] = np.stack(columns, axis=1)[:-1]

    def merge(self, other: IoUMetric) -> None:
        """Add the images of another shard. Raises :class:`InputError` if its classes are different or it
        has an image that is already counted."""
        if (self.class_names, self._ignore_index) != (other.class_names, other._ignore_index):
            raise InputError("Only metrics of the same classes and ignore_index can be merged.")
        for image_id in sorted(self._images.keys() & other._images.keys()):
            raise InputError(f"Image {image_id} is counted twice: it is in both of the merged metrics.")
        self._counts += other._counts
        self._images.update(other._images)

    @property
    def confusion(self) -> NDArray[np.int64]:
        """Pixels by (true, predicted) class: (K, K + 1), the last column for predictions of no class."""
        counts: NDArray[np.int64] = self._counts[:-1].copy()
        return counts

    def per_image(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Image ids (N,), sorted, and for each image and class (N, K, 3): hits, true and predicted pixels."""
        ids = np.array(sorted(self._images), dtype=np.int64)
        shape = len(ids), len(self.class_names), 3
        counts = [self._images[image_id] for image_id in ids.tolist()]
        return ids, np.array(counts, dtype=np.int64).reshape(shape)

    def compute(self) -> dict[str, Any]:
        """``mIoU`` and ``pixel_accuracy`` (fractions, None if undefined), ``num_images``, ``per_class``.

        ``per_class`` is name -> IoU and num_pixels (of the truth). The IoU of a class that is neither
        in the truth nor predicted is None and left out of the mean.
        """
        num_pixels = self._counts.sum(axis=1)
        hits = self._counts.diagonal()[:-1]
        unions = num_pixels[:-1] + self._counts.sum(axis=0)[:-1] - hits
        per_class = {
            name: {"IoU": _fraction(hits[i], unions[i]), "num_pixels": int(num_pixels[i])}
            for i, name in enumerate(self.class_names)
            if name is not None
        }
        defined = [row["IoU"] for row in per_class.values() if row["IoU"] is not None]
        return {
            "mIoU": sum(defined) / len(defined) if defined else None,
            "pixel_accuracy": _fraction(hits.sum(), num_pixels.sum()),
            "num_images": len(self._images),
            "per_class": per_class,
        }


class ResampledIoU:
    """mIoU where each image counts as often as its weight says.

    ``per_image`` (N, K, 3) and ``class_names`` as in :meth:`IoUMetric.per_image`.
    """

    def __init__(self, per_image: NDArray[np.int64], class_names: Sequence[str | None]) -> None:
        named = [i for i, name in enumerate(class_names) if name is not None]
        self.num_images = len(per_image)
        self._counts = per_image[:, named].reshape(len(per_image), -1).astype(np.float64)

    def __call__(self, weights: NDArray[np.int64]) -> dict[str, float]:
        hits, true, predicted = (weights @ self._counts).reshape(-1, 3).T
        unions = true + predicted - hits
        present = unions > 0
        return {"mIoU": float((hits[present] / unions[present]).mean()) if present.any() else np.nan}


def _fraction(part: np.int64, whole: np.int64) -> float | None:
    return int(part) / int(whole) if whole else None


def _count_pairs(
    prediction: LabelMap, truth: LabelMap, num_classes: int, ignore_index: int
) -> NDArray[np.int64]:
    """:func:`confusion_matrix` with one more row and column for what is no class: (K + 1, K + 1)."""
    predicted, true = as_labels(prediction, "prediction"), as_labels(truth, "truth")
    if predicted.shape != true.shape or true.ndim != 2:
        raise InputError(f"Prediction {predicted.shape} and truth {true.shape} must have one (H, W) shape.")
    if predicted.dtype == np.uint8 and true.dtype == np.uint8:
        return _fold(count_bytes(predicted, true), num_classes, ignore_index)
    return _count_integers(predicted, true, num_classes, ignore_index)


def as_labels(labels: LabelMap, name: str) -> NDArray[Any]:
    """As uint8 where the values allow it, else int64. Raises :class:`InputError` for other than integers."""
    array = labels.detach().cpu().numpy() if isinstance(labels, Tensor) else np.asarray(labels)
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind not in "biu":
        raise InputError(f"The {name} holds {array.dtype} values, but class indices are integers.")
    if array.min(initial=0) >= 0 and array.max(initial=0) <= 255:
        return array.astype(np.uint8)
    return array.astype(np.int64)


def count_bytes(prediction: NDArray[np.uint8], truth: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Pixels of every (truth, prediction) pair of bytes: (256, 256)."""
    predicted, true = prediction.reshape(1, -1), truth.reshape(1, -1)
    counts = np.zeros(2**16, dtype=np.int64)
    for start in range(0, true.size, _EXACT_PIXELS):
        part = slice(start, start + _EXACT_PIXELS)
        # Every pair of bytes is one 16-bit number with its own bin, so that no pass over the pixels is
        # needed to mask or check them.
        pairs = cv2.merge([predicted[:, part], true[:, part]]).view("<u2").reshape(1, -1)
        counts += cv2.calcHist([pairs], [0], None, [2**16], [0, 2**16]).ravel().astype(np.int64)
    return counts.reshape(256, 256)


def _fold(pairs: NDArray[np.int64], num_classes: int, ignore_index: int) -> NDArray[np.int64]:
    """Keep K true classes of :func:`count_bytes` and add up what was predicted beyond them."""
    if 0 <= ignore_index < len(pairs):
        pairs[ignore_index] = 0
    size = min(num_classes, len(pairs))
    others = np.zeros((1, len(pairs)), dtype=np.int64)
    if num_classes <= OTHER_INDEX:
        others[0], pairs[OTHER_INDEX] = pairs[OTHER_INDEX], 0
    _check_truth(np.flatnonzero(pairs.any(axis=1)), num_classes, ignore_index)
    counts = np.zeros((num_classes + 1, num_classes + 1), dtype=np.int64)
    rows = [*range(size), num_classes]
    true = np.concatenate((pairs[:size], others))
    counts[rows, :size] = true[:, :size]
    counts[rows, num_classes] = true[:, size:].sum(axis=1)
    return counts


def _count_integers(
    prediction: NDArray[Any], truth: NDArray[Any], num_classes: int, ignore_index: int
) -> NDArray[np.int64]:
    """The general path, for values that don't fit into a byte."""
    counted = truth != ignore_index
    true, predicted = truth[counted].astype(np.int64), prediction[counted].astype(np.int64)
    if num_classes <= OTHER_INDEX:
        is_other = true == OTHER_INDEX
        _check_truth(true[~is_other], num_classes, ignore_index)
        true[is_other] = num_classes
    else:
        _check_truth(true, num_classes, ignore_index)
    predicted[(predicted < 0) | (predicted >= num_classes)] = num_classes
    shape = num_classes + 1, num_classes + 1
    pairs = np.bincount(true * shape[1] + predicted, minlength=shape[0] * shape[1])
    return pairs.astype(np.int64).reshape(shape)


def _check_truth(values: NDArray[Any], num_classes: int, ignore_index: int) -> None:
    wrong = values[(values < 0) | (values >= num_classes)]
    if wrong.size:
        raise InputError(
            f"The truth holds the value {wrong[0]}, but there are {num_classes} classes (0 to "
            f"{num_classes - 1}) and ignored pixels are {ignore_index}."
        )
