"""pycocotools itself, from flat arrays: what every other engine is compared with."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np

from pocketvision.metrics.coco_arrays import Found, Scores, Truth


def score_with_pycocotools(truth: Truth, found: Found, num_images: int, num_categories: int) -> Scores:
    """Precision and recall of ``COCOeval``; slow and large, but the definition."""
    from pycocotools.coco import COCO  # type: ignore[import-untyped]
    from pycocotools.cocoeval import COCOeval  # type: ignore[import-untyped]

    with contextlib.redirect_stdout(io.StringIO()):
        truth_set, found_set = COCO(), COCO()
        truth_set.dataset = _dataset(truth, num_images, num_categories)
        truth_set.createIndex()
        if len(found.scores):
            found_set = truth_set.loadRes(_results(found))
        else:  # loadRes looks at the first result
            found_set.dataset = {**truth_set.dataset, "annotations": []}
            found_set.createIndex()
        evaluation = COCOeval(truth_set, found_set, "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
    return Scores(np.asarray(evaluation.eval["precision"]), np.asarray(evaluation.eval["recall"]))


def _dataset(truth: Truth, num_images: int, num_categories: int) -> dict[str, Any]:
    columns = zip(*(values.tolist() for values in truth), strict=True)
    return {
        "info": {},
        "images": [{"id": i} for i in range(num_images)],
        "categories": [{"id": i} for i in range(num_categories)],
        "annotations": [
            {
                "id": own, "image_id": image, "category_id": category,
                "bbox": box, "area": area, "iscrowd": int(crowd),
            }
            for image, category, box, area, crowd, own in columns
        ],
    }  # fmt: skip


def _results(found: Found) -> list[dict[str, Any]]:
    columns = zip(*(values.tolist() for values in found), strict=True)
    return [
        {"image_id": image, "category_id": category, "bbox": box, "score": score}
        for image, category, box, score in columns
    ]
