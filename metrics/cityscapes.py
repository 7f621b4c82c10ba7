"""Class and category IoU and iIoU of Cityscapes, as cityscapesScripts computes them from files.

Follows ``evalPixelLevelSemanticLabeling.py``: IoU = TP / (TP + FP + FN) over all images, no false positives
where the truth is ignored; iIoU weights each pixel of an instance by the mean size of its class's
instances over its own size (M. Cordts et al., arXiv:1604.01685, sec. 4.1).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pocketvision.core.errors import InputError
from pocketvision.metrics.cityscapes_labels import CATEGORIES, EVALUATED_IDS, INSTANCE_CATEGORIES, LABELS
from pocketvision.metrics.iou import LabelMap, as_labels, count_bytes

_SIZES = np.array([label.average_size or 0.0 for label in LABELS])
_IS_IGNORED = np.array([label.is_ignored for label in LABELS])
_INSTANCE_CATEGORY = np.array(
    [INSTANCE_CATEGORIES.index(x.category) if x.category in INSTANCE_CATEGORIES else -1 for x in LABELS]
)
_FIRST_INSTANCE = 1000
"""Instance ids are label id * 1000 + number; smaller ones are label ids of regions without instances."""


class CityscapesMetric:
    """Collects label maps of label ids (0 to 33, not train ids) and scores classes and categories.

    A class or category that is neither in the truth nor predicted is None and left out of the mean.
    """

    def __init__(self) -> None:
        self._counts: NDArray[np.int64] = np.zeros((len(LABELS), len(LABELS)), dtype=np.int64)
        # Weighted hits and misses, by label.
        self._of_class = np.zeros((2, len(LABELS)))
        self._of_category = np.zeros((2, len(LABELS)))

    def update(self, prediction: LabelMap, truth: LabelMap, instances: LabelMap | None = None) -> None:
        """Add one image: (H, W) label ids of both, and the truth's instance ids for iIoU.

        Raises :class:`InputError` for maps of different sizes or values that are no label ids.
        """
        predicted, true = as_labels(prediction, "prediction"), as_labels(truth, "truth")
        for name, labels in (("prediction", predicted), ("truth", true)):
            if labels.dtype != np.uint8 or labels.max(initial=0) >= len(LABELS):
                wrong = labels[(labels < 0) | (labels >= len(LABELS))][0]
                raise InputError(
                    f"The {name} holds the value {wrong}, but label ids are 0 to {len(LABELS) - 1}."
                )
        if predicted.shape != true.shape:
            raise InputError(f"Prediction {predicted.shape} and truth {true.shape} must have one shape.")
        self._counts += count_bytes(predicted, true)[: len(LABELS), : len(LABELS)]
        if instances is not None:
            self._add_instances(predicted, as_labels(instances, "instance map"))

    def merge(self, other: CityscapesMetric) -> None:
        """Add the images of another shard."""
        self._counts += other._counts
        self._of_class += other._of_class
        self._of_category += other._of_category

    def compute(self) -> dict[str, Any]:
        """``category_mIoU``, ``iIoU``, ``category_iIoU`` and ``class_mIoU``; None where undefined.

        ``per_class`` is name -> IoU and, for classes with instances, iIoU; ``per_category`` likewise.
        """
        per_class, per_category = {}, {}
        for label in EVALUATED_IDS:
            own = np.arange(len(LABELS)) == label
            row = {"IoU": self._iou(own, own)}
            if LABELS[label].average_size is not None:
                row["iIoU"] = self._iiou(self._of_class, own, own)
            per_class[LABELS[label].name] = row
        for category in CATEGORIES:
            members = np.array([label.category == category for label in LABELS])
            row = {"IoU": self._iou(members & ~_IS_IGNORED, members)}
            if category in INSTANCE_CATEGORIES:
                row["iIoU"] = self._iiou(self._of_category, members, members)
            per_category[category] = row
        return {
            "class_mIoU": _mean(per_class, "IoU"), "category_mIoU": _mean(per_category, "IoU"),
            "iIoU": _mean(per_class, "iIoU"), "category_iIoU": _mean(per_category, "iIoU"),
            "per_class": per_class, "per_category": per_category,
        }  # fmt: skip

    def _add_instances(self, predicted: NDArray[np.uint8], instances: NDArray[Any]) -> None:
        if instances.shape != predicted.shape:
            raise InputError(
                f"Instance map {instances.shape} and truth {predicted.shape} must have one shape."
            )
        inside = instances > _FIRST_INSTANCE
        ids, found = instances[inside].astype(np.int64), predicted[inside]
        labels = ids // _FIRST_INSTANCE
        if labels.max(initial=0) >= len(LABELS):
            raise InputError(f"The instance map holds {ids.max()}, whose label id {labels.max()} is unknown.")
        sizes = np.bincount(ids)
        same_class = np.bincount(ids[found == labels], minlength=len(sizes))
        same_category = np.bincount(
            ids[_INSTANCE_CATEGORY[found] == _INSTANCE_CATEGORY[labels]], minlength=len(sizes)
        )
        present = np.flatnonzero(sizes)
        label = present // _FIRST_INSTANCE
        present, label = present[~_IS_IGNORED[label]], label[~_IS_IGNORED[label]]
        weights = _SIZES[label] / sizes[present]
        for counts, sums in ((same_class, self._of_class), (same_category, self._of_category)):
            hits = counts[present]
            for row, pixels in zip(sums, (hits, sizes[present] - hits), strict=True):
                row += np.bincount(label, pixels * weights, minlength=len(LABELS))

    def _iou(self, labels: NDArray[np.bool_], group: NDArray[np.bool_]) -> float | None:
        """IoU of the union of ``labels``; what other labels of ``group`` lose to them isn't wrong."""
        hits = self._counts[labels][:, labels].sum()
        misses = self._counts[labels].sum() - hits
        return _fraction(float(hits), float(hits + misses + self._false_pixels(group, labels)))

    def _iiou(
        self, sums: NDArray[np.float64], group: NDArray[np.bool_], predicted: NDArray[np.bool_]
    ) -> float | None:
        hits, misses = (float(values) for values in sums[:, group & ~_IS_IGNORED].sum(axis=1))
        return _fraction(hits, hits + misses + self._false_pixels(group, predicted))

    def _false_pixels(self, group: NDArray[np.bool_], predicted: NDArray[np.bool_]) -> float:
        """Pixels outside ``group`` and of scored labels that were taken for one of ``predicted``."""
        return float(self._counts[~group & ~_IS_IGNORED][:, predicted].sum())


def _fraction(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _mean(rows: dict[str, dict[str, float | None]], name: str) -> float | None:
    defined = [value for row in rows.values() if (value := row.get(name)) is not None]
    return sum(defined) / len(defined) if defined else None
