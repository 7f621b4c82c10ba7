"""Predictions as other tools hold them, and back: supervision, FiftyOne, COCO, pandas and NumPy.

What comes back are the fields of a :class:`Prediction`, checked. Boxes are xyxy pixels unless a format
says else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from pocketvision.core.errors import InputError
from pocketvision.core.structures import Size
from pocketvision.deploy.packages import optional
from pocketvision.deploy.predict.class_masks import (
    box_around,
    check_labels,
    decode_rle,
    encode_rle,
    join_masks,
    split_label_map,
)

Names = Sequence[str | None]
Fields = dict[str, Any]
_COLUMNS = ("x1", "y1", "x2", "y2", "score", "label")


class TravelingResult(Protocol):
    """What is read of a prediction."""

    @property
    def task(self) -> str: ...
    @property
    def size(self) -> Size: ...
    @property
    def path(self) -> str | None: ...
    @property
    def frame(self) -> int | None: ...
    @property
    def class_names(self) -> tuple[str | None, ...]: ...
    @property
    def names(self) -> list[str]: ...
    @property
    def boxes(self) -> npt.NDArray[np.float32] | None: ...
    @property
    def scores(self) -> npt.NDArray[np.float32] | None: ...
    @property
    def labels(self) -> npt.NDArray[np.int64] | None: ...
    @property
    def label_map(self) -> npt.NDArray[np.uint8] | None: ...


def to_numpy(found: TravelingResult) -> npt.NDArray[Any]:
    """Rows (M, 6) float64 of x1, y1, x2, y2, score, label; rows (M, 2) of score, label; or the label map."""
    if found.label_map is not None:
        return np.array(found.label_map)
    assert found.scores is not None and found.labels is not None
    columns: list[npt.NDArray[Any]] = [found.scores[:, None], found.labels[:, None]]
    parts = columns if found.boxes is None else [found.boxes, *columns]
    return np.concatenate(parts, axis=1, dtype=np.float64)


def from_numpy(array: npt.NDArray[Any], task: str, names: Names, size: Size) -> Fields:
    """The inverse of :func:`to_numpy`."""
    if task == "segmentation":
        return _label_map(array, names, size)
    width = {"detection": 6, "classification": 2}[task]
    if array.ndim != 2 or array.shape[1] != width:
        raise InputError(f"An array of {task} has {width} columns: this one has the shape {array.shape}.")
    boxes = array[:, :4] if task == "detection" else None
    return _rows(boxes, array[:, -2], array[:, -1], names)


def to_df(found: TravelingResult) -> Any:
    """A pandas table with a row a detection, a class of the image, or a share of its pixels."""
    pandas = optional("pandas")
    if found.label_map is not None:
        labels, counts = np.unique(found.label_map, return_counts=True)
        columns: Fields = {"label": labels.astype(np.int64), "name": found.names}
        columns["share"] = counts / found.label_map.size
    else:
        boxes = {} if found.boxes is None else dict(zip(_COLUMNS, found.boxes.T, strict=False))
        columns = {**boxes, "score": found.scores, "label": found.labels, "name": found.names}
    table = pandas.DataFrame(columns)
    table.insert(0, "image", found.path)
    table.insert(1, "frame", found.frame)
    return table


def from_df(table: Any, task: str, names: Names) -> Fields:
    """The inverse of :func:`to_df` for detections and classes; a table of shares has no pixels."""
    if task == "segmentation":
        raise InputError("A table holds shares of classes and no pixels: use from_numpy with the label map.")
    wanted = _COLUMNS if task == "detection" else _COLUMNS[4:]
    if missing := [column for column in wanted if column not in table.columns]:
        raise InputError(f"The table has no column {missing[0]}: it needs {', '.join(wanted)}.")
    boxes = table[list(_COLUMNS[:4])].to_numpy() if task == "detection" else None
    return _rows(boxes, table["score"].to_numpy(), table["label"].to_numpy(), names)


def to_supervision(found: TravelingResult) -> Any:
    """``supervision.Detections``, in segmentation a mask a class, or ``Classifications``."""
    supervision = optional("supervision")
    if found.label_map is not None:
        labels, masks = split_label_map(found.label_map)
        boxes = np.array([box_around(mask) for mask in masks], np.float32).reshape(-1, 4)
        data = {"class_name": np.array(found.names, dtype=np.str_)}
        return supervision.Detections(xyxy=boxes, mask=masks, class_id=labels, data=data)
    if found.boxes is None:
        return supervision.Classifications(class_id=found.labels, confidence=found.scores)
    return supervision.Detections(
        xyxy=found.boxes, confidence=found.scores, class_id=found.labels,
        data={"class_name": np.array(found.names, dtype=np.str_)},
    )  # fmt: skip


def from_supervision(found: Any, task: str, names: Names, size: Size) -> Fields:
    """The inverse of :func:`to_supervision`; without confidences scores are 1."""
    if found.class_id is None and len(found):
        raise InputError("These detections have no class_id: set it to indices into the class names.")
    count = 0 if found.class_id is None else len(found.class_id)
    labels = np.zeros(0, np.int64) if found.class_id is None else found.class_id
    if task == "segmentation":
        if found.mask is None and count:
            raise InputError("These detections have no masks: read them as task='detection'.")
        return join_masks([] if found.mask is None else list(found.mask), labels, names, size)
    scores = np.ones(count, np.float32) if found.confidence is None else found.confidence
    return _rows(found.xyxy if task == "detection" else None, scores, labels, names)


def to_fiftyone_dict(found: TravelingResult) -> Fields:
    """A FiftyOne label as its ``to_dict`` has it: boxes x, y, width, height in shares; a mask is an array."""
    if found.label_map is not None:
        return {"_cls": "Segmentation", "mask": found.label_map.copy()}
    assert found.scores is not None
    pairs = zip(found.names, found.scores.tolist(), strict=True)
    rows = [{"_cls": "Classification", "label": name, "confidence": score} for name, score in pairs]
    if found.boxes is None:
        return {"_cls": "Classifications", "classifications": rows}
    height, width = found.size
    boxes = found.boxes.astype(np.float64)
    shares = np.concatenate((boxes[:, :2], boxes[:, 2:] - boxes[:, :2]), 1) / [width, height, width, height]
    return {
        "_cls": "Detections",
        "detections": [
            {**row, "_cls": "Detection", "bounding_box": share}
            for row, share in zip(rows, shares.tolist(), strict=True)
        ],
    }


def to_fiftyone(found: TravelingResult, field: str = "predictions") -> Any:
    """A ``fiftyone.Sample`` with what was found in ``field``."""
    fiftyone = optional("fiftyone")
    if found.path is None:
        raise InputError("A FiftyOne sample has the path of its image: predict on a path.")

    def label(value: Fields) -> Any:
        arguments = {
            key: [label(item) for item in part] if key in ("detections", "classifications") else part
            for key, part in value.items()
            if key != "_cls"
        }
        return getattr(fiftyone, value["_cls"])(**arguments)

    return fiftyone.Sample(filepath=found.path, **{field: label(to_fiftyone_dict(found))})


def from_fiftyone(label: Any, task: str, names: Names, size: Size) -> Fields:
    """The inverse of :func:`to_fiftyone_dict`, from a label or its dict; without confidences scores are 1."""
    if task == "segmentation":
        mask = _member(label, "mask")
        if mask is None:
            raise InputError("This FiftyOne label has no mask in memory: read its mask_path into one.")
        return _label_map(np.asarray(mask), names, size)
    rows = _member(label, "detections" if task == "detection" else "classifications")
    if rows is None:
        raise InputError(f"This FiftyOne label is none of {task}: give its Detections or Classifications.")
    places = {name: index for index, name in enumerate(names) if name is not None}
    labels = [_place(_member(row, "label"), places) for row in rows]
    scores = [1.0 if (score := _member(row, "confidence")) is None else score for row in rows]
    if task == "classification":
        return _rows(None, np.array(scores), np.array(labels), names)
    height, width = size
    boxes = np.array([_member(row, "bounding_box") for row in rows], np.float64).reshape(-1, 4)
    boxes = np.concatenate((boxes[:, :2], boxes[:, :2] + boxes[:, 2:]), 1) * [width, height, width, height]
    return _rows(boxes, np.array(scores), np.array(labels), names)


def to_coco(found: TravelingResult, image_id: int = 1) -> list[Fields]:
    """Annotations with scores; a category is a label plus 1. Segmentation has an RLE mask a class."""
    if found.label_map is not None:
        annotations = []
        for label, mask in zip(*split_label_map(found.label_map), strict=True):
            x1, y1, x2, y2 = box_around(mask)
            annotations.append({
                "image_id": image_id, "category_id": int(label) + 1, "bbox": [x1, y1, x2 - x1, y2 - y1],
                "area": float(mask.sum()), "iscrowd": 0,
                "segmentation": encode_rle(mask),
            })  # fmt: skip
        return annotations
    if found.boxes is None:
        raise InputError("COCO has no annotations of whole images: use to_df or to_dict.")
    assert found.scores is not None and found.labels is not None
    boxes = found.boxes.astype(np.float64)
    sides = boxes[:, 2:] - boxes[:, :2]
    rows = zip(
        np.concatenate((boxes[:, :2], sides), 1).tolist(), sides.prod(1).tolist(), found.scores.tolist(),
        found.labels.tolist(), strict=True,
    )  # fmt: skip
    return [
        {
            "image_id": image_id, "category_id": label + 1, "bbox": box, "area": area, "iscrowd": 0,
            "score": score,
        }
        for box, area, score, label in rows
    ]  # fmt: skip


def from_coco(annotations: Sequence[Mapping[str, Any]], task: str, names: Names, size: Size) -> Fields:
    """The inverse of :func:`to_coco`; without scores they are 1, masks are RLE."""
    if task == "classification":
        raise InputError("COCO has no annotations of whole images: use from_df.")
    needed = {"category_id", "bbox" if task == "detection" else "segmentation"}
    for number, annotation in enumerate(annotations):
        if missing := needed - set(annotation):
            raise InputError(f"Annotation {number} has no {min(missing)}.")
    labels = np.array([annotation["category_id"] - 1 for annotation in annotations], np.int64)
    if task == "segmentation":
        masks = [decode_rle(annotation["segmentation"], size, i) for i, annotation in enumerate(annotations)]
        return join_masks(masks, labels, names, size)
    boxes = np.array([annotation["bbox"] for annotation in annotations], np.float64).reshape(-1, 4)
    scores = np.array([annotation.get("score", 1.0) for annotation in annotations], np.float64)
    return _rows(np.concatenate((boxes[:, :2], boxes[:, :2] + boxes[:, 2:]), 1), scores, labels, names)


def _member(label: Any, name: str) -> Any:
    return label.get(name) if isinstance(label, Mapping) else getattr(label, name, None)


def _place(name: Any, places: Mapping[str, int]) -> int:
    if name not in places:
        raise InputError(f"There is no class '{name}': the classes are {', '.join(places)}.")
    return places[name]


def _rows(boxes: Any, scores: Any, labels: Any, names: Names) -> Fields:
    known = check_labels(labels, names)
    fields: dict[str, npt.NDArray[Any]] = {"scores": np.array(scores, np.float32), "labels": known}
    if boxes is not None:
        fields["boxes"] = np.array(boxes, np.float32).reshape(-1, 4)
    if len({len(part) for part in fields.values()}) > 1 or not all(
        np.isfinite(p).all() for p in fields.values()
    ):
        raise InputError("Boxes, scores and labels are to be finite numbers, and as many of each.")
    return fields


def _label_map(array: npt.NDArray[Any], names: Names, size: Size) -> Fields:
    if array.shape != size:
        raise InputError(f"The label map has the shape {array.shape}, the image {size}: they must agree.")
    return {"label_map": check_labels(array, names).astype(np.uint8)}
