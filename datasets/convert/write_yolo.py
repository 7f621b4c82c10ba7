"""Detection records -> YOLO with a ``data.yaml``, as :func:`read_yolo` reads it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import yaml  # type: ignore[import-untyped]

from pocketvision.core.files import replacing
from pocketvision.datasets.convert.common import ConversionTarget, DetectionWriter, Holds, Splits
from pocketvision.datasets.records.annotations import DetectionRecords


def write_yolo(splits: Splits, target: ConversionTarget) -> None:
    """Write all splits; an image without boxes has an empty label file."""
    for split, records in splits.items():
        places = target.place_images(records.image_paths, target.folder / "images" / split)
        for index, path in enumerate(records.image_paths):
            file = target.folder / "labels" / split / f"{places[path].stem}.txt"
            _write_text(file, _labels(records, index))
    names = next(iter(splits.values())).class_names
    content = {
        **{split: f"images/{split}" for split in splits},
        "nc": len(names),
        "names": {i: str(name) for i, name in enumerate(names)},
    }
    _write_text(target.folder / "data.yaml", yaml.safe_dump(content, allow_unicode=True, sort_keys=False))


def _labels(records: DetectionRecords, index: int) -> str:
    """Lines with as many digits as a float64 has: the boxes come back to the last bit of a float32."""
    height, width = records.sizes[index].tolist()
    owned = records.boxes_of(index)
    boxes = records.boxes[owned].astype(np.float64) / np.array([width, height, width, height])
    rows = np.concatenate(((boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]), axis=1)
    lines = zip(records.labels[owned].tolist(), rows.tolist(), strict=True)
    return "".join(f"{label} {' '.join(str(value) for value in row)}\n" for label, row in lines)


def _write_text(file: Path, text: str) -> None:
    with replacing(file) as temporary:
        temporary.write_text(text, encoding="utf-8")


WRITER = DetectionWriter(write_yolo, Holds())
