"""What is read of data sets, as one line a split: to compare two checkouts of this project by ``diff``.

    python benchmarks/records.py SHARED/data/bccd SHARED/data/coco_mini SHARED/data/camvid

A line has the number of images, the classes, and a digest of paths, boxes, labels, sizes and mask files.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any

import numpy as np

from pocketvision.datasets import detect_format

FIELDS = ("boxes", "labels", "sizes", "crowd", "offsets", "mask_paths")


def digest(records: Any) -> str:
    """Of all that a training takes from the records."""
    found = hashlib.sha256("\n".join(map(str, records.image_paths)).encode())
    for name in FIELDS:
        values = np.asarray(getattr(records, name, ()))
        texts = values.dtype.kind in "OU"
        found.update("\n".join(map(str, values.tolist())).encode() if texts else values.tobytes())
    return found.hexdigest()


def main() -> None:
    for root in map(Path, sys.argv[1:]):
        found = detect_format(root)
        for split in found.splits:
            records = found.read(split)
            names = ",".join(map(str, records.class_names[:20]))
            print(root.name, split, len(records.image_paths), names, digest(records))


if __name__ == "__main__":
    main()
