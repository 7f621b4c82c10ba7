"""Top-1 and top-5 accuracy of a classifier, counted over a whole data set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pocketvision.core.errors import InputError

_TOP = 5


class AccuracyMetric:
    """Collects the ranked labels of single images and computes the share that was right.

    A class whose name is None is a reserved slot without an entry in ``per_class``.
    """

    def __init__(self, class_names: Sequence[str | None]) -> None:
        self._class_names = tuple(class_names)
        num_classes = len(self._class_names)
        self._num_images: NDArray[np.int64] = np.zeros(num_classes, dtype=np.int64)
        self._hits: NDArray[np.int64] = np.zeros((num_classes, 2), dtype=np.int64)

    def update(self, ranked: Sequence[int], label: int) -> None:
        """Add one image: labels from the best score down (five or more, if there are so many); its truth.

        Raises:
            InputError: the truth is not in [0, K).
        """
        if not 0 <= label < len(self._class_names):
            raise InputError(
                f"The truth holds the label {label}, but there are {len(self._class_names)} classes "
                f"(0 to {len(self._class_names) - 1})."
            )
        self._num_images[label] += 1
        self._hits[label] += ranked[0] == label, label in ranked[:_TOP]

    def merge(self, other: AccuracyMetric) -> None:
        """Add the images of another shard. Raises :class:`InputError` if its classes are different."""
        if self._class_names != other._class_names:
            raise InputError("Only metrics of the same classes can be merged.")
        self._num_images += other._num_images
        self._hits += other._hits

    def compute(self) -> dict[str, Any]:
        """``top1`` and ``top5`` (fractions of all images, None if undefined), ``num_images``, ``per_class``.

        ``top5`` is None with five classes or fewer, where any guess is among the first five.
        ``per_class`` is name -> top1 and num_images; the top1 of a class without images is None.
        """
        total = int(self._num_images.sum())
        top1, top5 = self._hits.sum(axis=0)
        named = [name for name in self._class_names if name is not None]
        return {
            "top1": _fraction(top1, total),
            "top5": _fraction(top5, total) if len(named) > _TOP else None,
            "num_images": total,
            "per_class": {
                name: {
                    "top1": _fraction(self._hits[i, 0], int(self._num_images[i])),
                    "num_images": int(self._num_images[i]),
                }
                for i, name in enumerate(self._class_names)
                if name is not None
            },
        }


class ResampledAccuracy:
    """``top1`` where each image counts as often as its weight says; ``right`` (N,) bool."""

    def __init__(self, right: NDArray[np.bool_]) -> None:
        self.num_images, self._right = len(right), right.astype(np.float64)

    def __call__(self, weights: NDArray[np.int64]) -> dict[str, float]:
        total = int(weights.sum())
        return {"top1": float(weights @ self._right) / total if total else np.nan}


def _fraction(part: np.int64, whole: int) -> float | None:
    return int(part) / whole if whole else None
