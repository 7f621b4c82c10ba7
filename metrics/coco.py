"""COCO average precision of boxes, computed by pycocotools itself from the results JSON and the truth."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pocketvision.core.errors import InputError
from pocketvision.core.structures import Detections

_SUMMARY = (
    *("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large"),
    *("AR_1", "AR_10", "AR_100", "AR_small", "AR_medium", "AR_large"),
)
"""The order of ``COCOeval.stats``."""

_ALL_AREAS, _MOST_DETECTIONS = 0, -1
"""Positions of "any area" and "100 detections an image" in the arrays of ``COCOeval.eval``."""


class _ImageDetections(NamedTuple):
    """One image's scored detections, sorted: boxes (M, 4) xywh pixels, scores (M,), categories (M,)."""

    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]
    categories: NDArray[np.int64]


class CocoMetric:
    """Collects detections and scores them with pycocotools (the COCO detection protocol).

    ``ground_truth`` is the content of a COCO instances file; it isn't changed. A missing ``iscrowd``
    means 0 and a missing ``area`` that of the box; pycocotools alone would stop there. As in
    pycocotools, an annotation with id 0 is never counted as found.
    ``category_ids[label]`` is the file's category id of a model's label, or None where the data has
    no such class; ``class_names[label]`` is its name, or None for a reserved slot. Labels without
    either are not scored. The other classes are scored over all images of ``ground_truth``.

    Raises :class:`InputError` where no class is left, or two labels share a category or name.
    """

    def __init__(
        self,
        ground_truth: Mapping[str, Any],
        category_ids: Sequence[int | None],
        class_names: Sequence[str | None],
    ) -> None:
        self._num_labels = len(class_names)
        self._classes = _matched_classes(ground_truth, category_ids, class_names)
        self._truth = _needed_truth(ground_truth, {category for category, _ in self._classes.values()})
        self._image_ids = {image["id"] for image in self._truth["images"]}
        self._images: dict[int, _ImageDetections] = {}

    def update(self, image_id: int, detections: Detections) -> None:
        """Add all detections of one image: boxes xyxy in pixels of the original image.

        Raises :class:`InputError` for an image that is unknown or already counted, a label outside
        [0, K), or a box or score that isn't finite.
        """
        if image_id not in self._image_ids:
            raise InputError(f"Image {image_id} is not in the ground truth, so it can't be scored.")
        if image_id in self._images:
            raise InputError(f"Image {image_id} is counted twice: give every image to the metric once.")
        boxes = detections.boxes.detach().cpu().double().numpy().reshape(-1, 4)
        scores = detections.scores.detach().cpu().double().numpy()
        labels = detections.labels.detach().cpu().long().numpy()
        _check_detections(image_id, boxes, scores, labels, self._num_labels)
        self._images[int(image_id)] = self._canonical(boxes, scores, labels)

    def merge(self, other: CocoMetric) -> None:
        """Add the images of another shard. Raises :class:`InputError` for an image that both hold."""
        if self._classes != other._classes or self._image_ids != other._image_ids:
            raise InputError("Only metrics of the same classes and the same ground truth can be merged.")
        for image_id in sorted(self._images.keys() & other._images.keys()):
            raise InputError(f"Image {image_id} is counted twice: it is in both of the merged metrics.")
        self._images.update(other._images)

    def results(self) -> list[dict[str, Any]]:
        """The COCO results format: image_id, category_id, bbox [x, y, width, height], score.

        Sorted by image, then best score, category and box, so that equal detections give an equal
        list. The floats survive JSON exactly.
        """
        return [
            {"image_id": image_id, "category_id": category, "bbox": box, "score": score}
            for image_id in sorted(self._images)
            for box, score, category in zip(*(part.tolist() for part in self._images[image_id]), strict=True)
        ]

    def compute(self) -> dict[str, Any]:
        """AP, AP50 ... AR_large as fractions (None where undefined), ``num_images`` and ``per_class``.

        ``num_images`` counts the images of the ground truth: one without detections is scored too.
        ``per_class`` is name -> AP, AP50 and num_truth, the number of its boxes that aren't crowds.
        """
        categories = sorted(category for category, _ in self._classes.values())
        stats, precision = _evaluate(self._truth, self.results(), categories)
        summary: dict[str, Any] = dict(zip(_SUMMARY, map(_mean_defined, stats), strict=True))
        num_truth = self._count_truth()
        per_class = {}
        for category, name in self._classes.values():
            of_class = precision[:, :, categories.index(category), _ALL_AREAS, _MOST_DETECTIONS]
            per_class[name] = {
                "AP": _mean_defined(of_class),
                "AP50": _mean_defined(of_class[0]),
                "num_truth": num_truth[category],
            }
        return {**summary, "num_images": len(self._image_ids), "per_class": per_class}

    def _canonical(
        self, boxes: NDArray[np.float64], scores: NDArray[np.float64], labels: NDArray[np.int64]
    ) -> _ImageDetections:
        scored = np.isin(labels, list(self._classes))
        x1, y1, x2, y2 = boxes[scored].T
        # Adding 0.0 turns -0.0, which sorts like 0.0 but is written differently, into 0.0.
        xywh = np.stack([x1, y1, x2 - x1, y2 - y1], axis=1) + 0.0
        scores = scores[scored] + 0.0
        categories = np.array([self._classes[label][0] for label in labels[scored].tolist()], dtype=np.int64)
        order = np.lexsort((*xywh.T[::-1], categories, -scores))
        return _ImageDetections(xywh[order], scores[order], categories[order])

    def _count_truth(self) -> dict[int, int]:
        counts = {category: 0 for category, _ in self._classes.values()}
        for annotation in self._truth["annotations"]:
            if annotation["image_id"] in self._image_ids and not annotation["iscrowd"]:
                counts[annotation["category_id"]] += 1
        return counts


def _matched_classes(
    ground_truth: Mapping[str, Any], category_ids: Sequence[int | None], class_names: Sequence[str | None]
) -> dict[int, tuple[int, str]]:
    """Label -> (category id, name) of the labels that can be scored."""
    if len(category_ids) != len(class_names):
        raise InputError(f"{len(category_ids)} category ids were given for {len(class_names)} class names.")
    known = {category["id"]: category.get("name") for category in ground_truth.get("categories", ())}
    classes = {
        label: (category, name)
        for label, (category, name) in enumerate(zip(category_ids, class_names, strict=True))
        if category is not None and name is not None
    }
    if not classes:
        model_names = [name for name in class_names if name is not None]
        raise InputError(
            f"None of the model's classes {model_names} is a class of the data {list(known.values())}."
        )
    categories, names = zip(*classes.values(), strict=True)
    if len(set(categories)) < len(classes) or len(set(names)) < len(classes):
        raise InputError(f"Two labels share a category or a name: {list(classes.values())}.")
    for category in sorted(set(categories) - set(known)):
        raise InputError(f"Category id {category} is not a category of the ground truth: {sorted(known)}.")
    return classes


def _needed_truth(ground_truth: Mapping[str, Any], categories: set[int]) -> dict[str, Any]:
    """A copy of what box scoring reads, since pycocotools writes into it and polygons are large to send."""
    return {
        "info": {},
        "images": [{"id": image["id"]} for image in ground_truth["images"]],
        "categories": [{"id": category} for category in sorted(categories)],
        "annotations": [
            {
                "id": annotation["id"],
                "image_id": annotation["image_id"],
                "category_id": annotation["category_id"],
                "bbox": annotation["bbox"],
                "area": annotation.get("area", annotation["bbox"][2] * annotation["bbox"][3]),
                "iscrowd": annotation.get("iscrowd", 0),
            }
            for annotation in ground_truth.get("annotations", ())
            if annotation["category_id"] in categories
        ],
    }


def _check_detections(
    image_id: int,
    boxes: NDArray[np.float64],
    scores: NDArray[np.float64],
    labels: NDArray[np.int64],
    num_labels: int,
) -> None:
    if not len(boxes) == len(scores) == len(labels):
        raise InputError(
            f"Image {image_id} has {len(boxes)} boxes, {len(scores)} scores and {len(labels)} labels."
        )
    if not (np.isfinite(boxes).all() and np.isfinite(scores).all()):
        raise InputError(f"Image {image_id} has a detection whose box or score is not a finite number.")
    if ((labels < 0) | (labels >= num_labels)).any():
        raise InputError(
            f"Image {image_id} has labels from {labels.min()} to {labels.max()}, but the model has "
            f"{num_labels} classes. Padding has label -1 and is removed by DetectionBatch.unpad()."
        )


def _evaluate(
    dataset: dict[str, Any], results: list[dict[str, Any]], categories: list[int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The twelve COCO numbers, and precision (10 IoUs, 101 recalls, categories, 4 areas, 3 limits)."""
    from pycocotools.coco import COCO  # type: ignore[import-untyped]
    from pycocotools.cocoeval import COCOeval  # type: ignore[import-untyped]

    with contextlib.redirect_stdout(io.StringIO()):
        truth, found = COCO(), COCO()
        truth.dataset = dataset
        truth.createIndex()
        if results:
            found = truth.loadRes(results)
        else:  # loadRes looks at the first result
            found.dataset = {**dataset, "annotations": []}
            found.createIndex()
        evaluation = COCOeval(truth, found, "bbox")
        evaluation.params.catIds = categories
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats, evaluation.eval["precision"]


def _mean_defined(values: NDArray[np.float64] | float) -> float | None:
    """Mean of the values that are defined; pycocotools writes -1 for the others."""
    defined = np.asarray(values)[np.asarray(values) > -1]
    return float(defined.mean()) if defined.size else None
