"""COCO average precision of boxes (the COCO detection protocol), from detections added an image at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pocketvision.core.errors import InputError
from pocketvision.core.structures import Detections
from pocketvision.metrics.coco_arrays import (
    ALL_AREAS,
    AREA_NAMES,
    MOST_DETECTIONS,
    Found,
    Scores,
    Truth,
    mean_defined,
    summarize,
)
from pocketvision.metrics.coco_engine import accumulate
from pocketvision.metrics.coco_matching import Matches, match
from pocketvision.metrics.coco_reference import score_with_pycocotools

Engine = Literal["numpy", "pycocotools"]


class _ImageDetections(NamedTuple):
    """One image's scored detections, sorted: boxes (M, 4) xywh pixels, scores (M,), categories (M,)."""

    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]
    categories: NDArray[np.int64]


class CocoMetric:
    """Collects detections and scores them by the COCO detection protocol.

    ``ground_truth`` is the content of a COCO instances file; it isn't changed. A missing ``iscrowd``
    means 0 and a missing ``area`` that of the box; pycocotools alone would stop there. As in
    pycocotools, an annotation with id 0 is never counted as found, and one of an unknown image isn't scored.
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
        self.image_ids: tuple[int, ...] = tuple(sorted({image["id"] for image in ground_truth["images"]}))
        self._known = set(self.image_ids)
        self._category_ids = sorted(category for category, _ in self._classes.values())
        self.truth = _needed_truth(ground_truth, self.image_ids, self._category_ids)
        self._images: dict[int, _ImageDetections] = {}

    @property
    def class_names(self) -> tuple[str, ...]:
        """The scored classes in the order of their category ids, as in every array that is returned."""
        names = dict(self._classes.values())
        return tuple(names[category] for category in self._category_ids)

    def update(self, image_id: int, detections: Detections) -> None:
        """Add all detections of one image: boxes xyxy in pixels of the original image.

        Raises :class:`InputError` for an image that is unknown or already counted, a label outside
        [0, K), or a box or score that isn't finite.
        """
        if image_id not in self._known:
            raise InputError(f"Image {image_id} is not in the ground truth, so it can't be scored.")
        if image_id in self._images:
            raise InputError(f"Image {image_id} is counted twice: give every image to the metric once.")
        boxes = detections.boxes.detach().cpu().double().numpy().reshape(-1, 4)
        scores = detections.scores.detach().cpu().double().numpy()
        labels = detections.labels.detach().cpu().long().numpy()
        _check_detections(image_id, boxes, scores, labels, self._num_labels)
        self._images[int(image_id)] = self._canonical(boxes, scores, labels)
        self.__dict__.pop("matches", None)

    def merge(self, other: CocoMetric) -> None:
        """Add the images of another shard. Raises :class:`InputError` for an image that both hold."""
        if self._classes != other._classes or self.image_ids != other.image_ids:
            raise InputError("Only metrics of the same classes and the same ground truth can be merged.")
        for image_id in sorted(self._images.keys() & other._images.keys()):
            raise InputError(f"Image {image_id} is counted twice: it is in both of the merged metrics.")
        self._images.update(other._images)
        self.__dict__.pop("matches", None)

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

    @property
    def found(self) -> Found:
        """All detections as arrays, images in order."""
        images = [(i, self._images[own]) for i, own in enumerate(self.image_ids) if own in self._images]
        if not images:
            empty = np.zeros(0, dtype=np.int64)
            return Found(empty, empty, np.zeros((0, 4)), np.zeros(0))
        categories = np.concatenate([of_image.categories for _, of_image in images])
        return Found(
            images=np.repeat([i for i, _ in images], [len(of_image.scores) for _, of_image in images]),
            categories=np.searchsorted(self._category_ids, categories),
            boxes=np.concatenate([of_image.boxes for _, of_image in images]),
            scores=np.concatenate([of_image.scores for _, of_image in images]),
        )

    @cached_property
    def matches(self) -> Matches:
        """What became of every detection; computed once after the last image."""
        return match(self.truth, self.found, len(self._category_ids))

    def scores(self, engine: Engine = "numpy") -> Scores:
        """Precision and recall arrays, classes in the order of ``class_names``.

        The engines are equal to the last bit; NumPy's is faster and smaller (benchmarks/coco_metric.py).
        Raises ValueError for an unknown engine.
        """
        if engine == "numpy":
            return accumulate(self.matches)
        if engine != "pycocotools":
            raise ValueError(f"engine is {engine!r}: choose numpy or pycocotools.")
        return score_with_pycocotools(self.truth, self.found, len(self.image_ids), len(self._category_ids))

    def compute(self, engine: Engine = "numpy") -> dict[str, Any]:
        """AP, AP50 ... AR_large as fractions (None where undefined), ``num_images`` and ``per_class``.

        ``num_images`` counts the images of the ground truth: one without detections is scored too.
        ``per_class`` is name -> AP, AP50, AP75, AP_small, AP_medium, AP_large, AR_100 and num_truth, the
        number of its boxes that aren't crowds. A class without truth has None and no part in the means.
        """
        scores = self.scores(engine)
        regular = self.truth.categories[~self.truth.crowd]
        num_truth = np.bincount(regular, minlength=len(self._category_ids)).tolist()
        per_class = {}
        for category, name in self._classes.values():
            i = self._category_ids.index(category)
            precision = scores.precision[:, :, i, :, MOST_DETECTIONS]
            per_class[name] = {
                "AP": mean_defined(precision[..., ALL_AREAS]),
                "AP50": mean_defined(precision[0, :, ALL_AREAS]),
                "AP75": mean_defined(precision[5, :, ALL_AREAS]),
                **{f"AP_{area}": mean_defined(precision[..., j]) for j, area in enumerate(AREA_NAMES) if j},
                "AR_100": mean_defined(scores.recall[:, i, ALL_AREAS, MOST_DETECTIONS]),
                "num_truth": num_truth[i],
            }
        return {**summarize(scores), "num_images": len(self.image_ids), "per_class": per_class}

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


def _needed_truth(
    ground_truth: Mapping[str, Any], image_ids: Sequence[int], category_ids: Sequence[int]
) -> Truth:
    """What box scoring reads of the annotations of these images and categories."""
    images = {image_id: i for i, image_id in enumerate(image_ids)}
    categories = {category: i for i, category in enumerate(category_ids)}
    rows = [
        row
        for row in ground_truth.get("annotations", ())
        if row["category_id"] in categories and row["image_id"] in images
    ]
    boxes = np.array([row["bbox"] for row in rows], dtype=np.float64).reshape(-1, 4)
    areas = [row.get("area", row["bbox"][2] * row["bbox"][3]) for row in rows]
    return Truth(
        images=np.array([images[row["image_id"]] for row in rows], dtype=np.int64),
        categories=np.array([categories[row["category_id"]] for row in rows], dtype=np.int64),
        boxes=boxes,
        areas=np.array(areas, dtype=np.float64),
        crowd=np.array([bool(row.get("iscrowd", 0)) for row in rows], dtype=bool),
        ids=np.array([row["id"] for row in rows], dtype=np.int64),
    )


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
