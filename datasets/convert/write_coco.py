"""Detection records -> ``instances_{split}.json`` and ``{split}/``, as :func:`read_coco` reads them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any

import numpy as np

from pocketvision.core.files import write_json
from pocketvision.datasets.convert.common import ConversionTarget, DetectionWriter, Holds, Splits
from pocketvision.datasets.records.annotations import DetectionRecords


def write_coco(splits: Splits, target: ConversionTarget) -> None:
    """Write all splits; annotation ids count on from one split to the next."""
    ids = _category_ids(splits)
    next_id = count(1)
    for split, records in splits.items():
        images = []
        places = target.place_images(records.image_paths, target.folder / split)
        for index, path in enumerate(records.image_paths):
            height, width = records.sizes[index].tolist()
            image_id = int(records.image_ids[index])
            images.append({"id": image_id, "file_name": places[path].name, "height": height, "width": width})
        content = {
            "images": images,
            "annotations": [{"id": next(next_id), **row} for row in _annotations(records, ids)],
            "categories": [
                {"id": category, "name": name}
                for category, name in zip(ids, records.class_names, strict=True)
                if name is not None
            ],
        }
        write_json(target.folder / f"instances_{split}.json", content)


def _category_ids(splits: Splits) -> list[int]:
    """The data's own ids; counted from 1 where it has none, or a 0, which many tools take for background."""
    rows = [records.category_ids for records in splits.values()]
    own = [max(ids) for ids in zip(*rows, strict=True)]
    if min(own, default=1) < 1 or len(set(own)) < len(own):
        return list(range(1, len(own) + 1))
    return own


def _annotations(records: DetectionRecords, category_ids: Sequence[int]) -> list[dict[str, Any]]:
    owners = np.repeat(records.image_ids, np.diff(records.offsets)).tolist()
    corners = records.boxes.astype(np.float64)
    bbox = np.concatenate((corners[:, :2], corners[:, 2:] - corners[:, :2]), axis=1).tolist()
    columns = (owners, records.labels.tolist(), bbox, records.areas.tolist(), records.crowd.tolist())
    return [
        {
            "image_id": owner,
            "category_id": category_ids[label],
            "bbox": box,
            "area": area,
            "iscrowd": int(crowd),
        }
        for owner, label, box, area, crowd in zip(*columns, strict=True)
    ]


WRITER = DetectionWriter(write_coco, Holds(crowd=True, areas=True, ids=True))
