"""Detection records -> ``annotations.csv`` and ``images``, as :func:`read_csv_boxes` reads them."""

from __future__ import annotations

import csv

from pocketvision.core.files import replacing
from pocketvision.datasets.convert.common import ConversionTarget, DetectionWriter, Holds, Splits, all_images

_HEADER = ("image", "xmin", "ymin", "xmax", "ymax", "label", "split", "crowd", "difficult", "area")


def write_csv(splits: Splits, target: ConversionTarget) -> None:
    """Write all splits into one file, and ``classes.txt`` for the order of the classes."""
    rows: list[tuple[object, ...]] = []
    places = target.place_images(all_images(splits), target.folder / "images")
    for split, records in splits.items():
        for index, path in enumerate(records.image_paths):
            name = f"images/{places[path].name}"
            owned = records.boxes_of(index)
            if owned.start == owned.stop:
                rows.append((name, "", "", "", "", "", split, "", "", ""))
            for i in range(owned.start, owned.stop):
                label = records.class_names[records.labels[i]]
                is_difficult = records.difficult is not None and records.difficult[i]
                flags = int(records.crowd[i]), int(is_difficult), float(records.areas[i])
                rows.append((name, *records.boxes[i].tolist(), label, split, *flags))
    with (
        replacing(target.folder / "annotations.csv") as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        csv.writer(file).writerows([_HEADER, *rows])
    names = next(iter(splits.values())).class_names
    with replacing(target.folder / "classes.txt") as temporary:
        temporary.write_text("".join(f"{name}\n" for name in names if name is not None), encoding="utf-8")


WRITER = DetectionWriter(write_csv, Holds(crowd=True, difficult=True, areas=True))
