"""Segmentation of COCO's annotations, carried over into the cleaned copy."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import orjson

from pocketvision.core.files import replacing
from pocketvision.datasets.coco.json_file import load_coco
from pocketvision.datasets.formats.contract import Layout
from pocketvision.datasets.records.annotations import DetectionRecords


def keep_outlines(layout: Layout, splits: Mapping[str, DetectionRecords], folder: Path) -> list[str]:
    """Give the annotations that were written the segmentation of those that they come from.

    Boxes that were moved (whose row is -1) have none that would fit; a line a split counts these, if the
    source has outlines at all.
    """
    lines = []
    for split, records in splits.items():
        file = folder / f"instances_{split}.json"
        source = load_coco(layout.splits[split], polygons=True)["annotations"]
        if records.rows is None or not any(
            isinstance(row, dict) and row.get("segmentation") for row in source
        ):
            continue
        content = orjson.loads(file.read_bytes())
        for row, number in zip(content["annotations"], records.rows.tolist(), strict=True):
            stated = source[number] if number >= 0 else {}
            if stated.get("segmentation"):
                row["segmentation"] = stated["segmentation"]
        if lost := int((records.rows < 0).sum()):
            of = "outline of an image that was" if lost == 1 else "outlines of images that were"
            lines.append(f"{split}: {lost} {of} turned or resized {'is' if lost == 1 else 'are'} left out")
        with replacing(file) as temporary:
            temporary.write_bytes(orjson.dumps(content))
    return lines
