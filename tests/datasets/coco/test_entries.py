"""Covers datasets/coco/rows.py: COCO JSON as tools write it reads as the clean one."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pocketvision.datasets import DetectionRecords, read_coco

CLEAN: dict[str, Any] = {
    "images": [{"id": i, "file_name": f"{i}.png", "width": 40, "height": 20} for i in (1, 2)],
    "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "owl"}],
    "annotations": [
        {"id": 7, "image_id": 1, "category_id": 1, "bbox": [4, 5, 10, 8], "area": 80, "iscrowd": 0,
         "segmentation": [[4, 5, 14, 5, 14, 13, 4, 13]]},
        {"id": 8, "image_id": 2, "category_id": 2, "bbox": [1, 2, 3, 4], "area": 12, "iscrowd": 1},
    ],
}  # fmt: skip
Change = Callable[[dict[str, Any]], Any]


def facts(records: DetectionRecords) -> list[Any]:
    """What training sees of the annotations."""
    owners = records.owners().tolist()
    rows = zip(owners, records.labels.tolist(), records.boxes.tolist(), records.crowd.tolist(), strict=True)
    return [
        (Path(records.image_paths[i]).name, records.class_names[label], box, is_crowd)
        for i, label, box, is_crowd in rows
    ]


@pytest.fixture
def read(tmp_path: Path, write_image: Callable[..., None]) -> Callable[[dict[str, Any]], DetectionRecords]:
    for name in ("1.png", "2.png"):
        write_image(tmp_path / name, 40, 20)

    def write_and_read(content: dict[str, Any]) -> DetectionRecords:
        file = tmp_path / "boxes.json"
        file.write_text(json.dumps(content))
        return read_coco(file, "all")

    return write_and_read


def as_text(content: dict[str, Any]) -> None:
    for rows, keys in (("images", ("id", "width")), ("categories", ("id",))):
        for row in content[rows]:
            row.update({key: str(row[key]) for key in keys})
    for row in content["annotations"]:
        row.update({key: str(row[key]) for key in ("id", "image_id", "category_id", "iscrowd", "area")})
        row["bbox"] = [str(side) for side in row["bbox"]]


def named_ids(content: dict[str, Any]) -> None:
    for row in content["images"]:
        row["id"] = f"photo-{row['id']}"
    for row in content["annotations"]:
        row["image_id"] = f"photo-{row['image_id']}"


def shares(content: dict[str, Any]) -> None:
    for row in content["annotations"]:
        x, y, width, height = row["bbox"]
        row["bbox"] = [x / 40, y / 20, width / 40, height / 20]


def twice(content: dict[str, Any]) -> None:
    content["images"].append({**content["images"][0], "id": 99})
    content["annotations"][0]["image_id"] = 99


def heads(content: dict[str, Any]) -> None:
    for row in content["categories"]:
        row["supercategory"] = "animals"
    content["categories"].append({"id": 9, "name": "animals", "supercategory": "animals"})


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (as_text, "written as text"),
        (named_ids, ""),
        (shares, "boxes are shares"),
        (twice, "image is listed twice"),
        (lambda c: c["annotations"][0].update(bbox=[14, 13, -10, -8]), "swapped corners"),
        (lambda c: c["annotations"][0].pop("bbox"), "the box around it is read"),
        (
            lambda c: c["annotations"][0].update(bbox=[], segmentation=[4, 5, 14, 5, 14, 13]),
            "box around it is",
        ),
        (lambda c: c["categories"].insert(0, {"id": 0, "name": "_background_"}), "stands for all others"),
        (heads, "stands for all others"),
    ],
)
def test_it_reads_as_the_clean_one(
    change: Change, told: str, read: Callable[[dict[str, Any]], DetectionRecords]
) -> None:
    content = copy.deepcopy(CLEAN)
    change(content)
    found, clean = read(content), read(CLEAN)
    assert facts(found) == facts(clean) and clean.notes == ()
    lines = " ".join(map(str, found.notes))
    assert told in lines and bool(found.notes) == bool(told)
    assert found.class_names == ("cat", "owl")
