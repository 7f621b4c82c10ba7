"""The truth of a split as pycocotools reads it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from pocketvision.datasets.coco.repair import load_repaired
from pocketvision.datasets.records.annotations import DetectionRecords


def coco_dataset(records: DetectionRecords) -> dict[str, Any]:
    """The truth as a COCO data set (pycocotools' ``COCO.dataset``), for evaluation.

    A COCO JSON is loaded again and only what pycocotools needs is filled in; otherwise it is built
    from the arrays, with difficult boxes as crowd, which evaluation ignores.

    Raises:
        InputError: the annotation file is no longer there, or broken.
    """
    if records.annotation_file is None:
        return _from_arrays(records)
    return _complete(load_repaired(Path(records.annotation_file))[0])


def _complete(dataset: dict[str, Any]) -> dict[str, Any]:
    """Fill in what pycocotools needs and nothing else."""
    dataset.setdefault("info", {})
    annotations = dataset["annotations"]
    next_id = max((row.get("id") or 0 for row in annotations), default=0) + 1
    for row in annotations:
        # COCOeval takes 0 for "unmatched": a box with this id would count as missed even when found.
        if not row.get("id"):
            row["id"], next_id = next_id, next_id + 1
        row.setdefault("iscrowd", 0)
        if row.get("area") is None:
            row["area"] = row["bbox"][2] * row["bbox"][3]
    return dataset


def _from_arrays(records: DetectionRecords) -> dict[str, Any]:
    images = zip(records.image_ids.tolist(), records.image_paths, records.sizes.tolist(), strict=True)
    categories = zip(records.category_ids, records.class_names, strict=True)
    return {
        "info": {},
        "images": [
            {"id": image_id, "file_name": Path(path).name, "height": height, "width": width}
            for image_id, path, (height, width) in images
        ],
        "categories": [
            {"id": category_id, "name": name}
            for category_id, name in categories
            if name is not None and category_id >= 0
        ],
        "annotations": _annotations(records),
    }


def _annotations(records: DetectionRecords) -> list[dict[str, Any]]:
    owners = np.repeat(records.image_ids, np.diff(records.offsets)).tolist()
    corners = records.boxes.astype(np.float64)
    bbox = np.concatenate((corners[:, :2], corners[:, 2:] - corners[:, :2]), axis=1).tolist()
    ignored = records.crowd if records.difficult is None else records.crowd | records.difficult
    rows = zip(owners, records.labels.tolist(), bbox, records.areas.tolist(), ignored.tolist(), strict=True)
    return [
        {
            "id": i,
            "image_id": image_id,
            "category_id": records.category_ids[label],
            "bbox": box,
            "area": area,
            "iscrowd": int(crowd),
        }
        for i, (image_id, label, box, area, crowd) in enumerate(rows, start=1)
    ]
