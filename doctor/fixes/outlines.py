"""Segmentation of COCO's annotations, carried over into the cleaned copy."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import orjson

from pocketvision.core.files import replacing
from pocketvision.datasets.coco.json_file import load_coco
from pocketvision.datasets.formats.contract import Layout
from pocketvision.datasets.records.annotations import DetectionRecords


def keep_outlines(layout: Layout, splits: Mapping[str, DetectionRecords], folder: Path) -> None:
    """Give the annotations that were written the segmentation of those that they come from.

    Boxes that were scaled to another size of their image (whose row is -1) have none that would fit.
    """
    for split, records in splits.items():
        file = folder / f"instances_{split}.json"
        if records.rows is None or not len(records.rows):
            continue
        source = load_coco(layout.splits[split])["annotations"]
        content = orjson.loads(file.read_bytes())
        for row, number in zip(content["annotations"], records.rows.tolist(), strict=True):
            stated = source[number] if number >= 0 else {}
            if stated.get("segmentation"):
                row["segmentation"] = stated["segmentation"]
        with replacing(file) as temporary:
            temporary.write_bytes(orjson.dumps(content))
