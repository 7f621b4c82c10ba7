"""COCO JSON as tools write it reads as the clean one; what is beyond repair stays an error."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pocketvision.datasets.coco.repair import is_usual, load_repaired, repair

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


def facts(content: dict[str, Any]) -> list[Any]:
    """What training sees of the annotations."""
    images = {image["id"]: image["file_name"] for image in content["images"]}
    names = {row["id"]: row["name"] for row in content["categories"]}
    return [
        (images[row["image_id"]], names[row["category_id"]], [float(x) for x in row["bbox"]], row["iscrowd"])
        for row in content["annotations"]
    ]


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


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (as_text, ""),
        (named_ids, ""),
        (shares, "2 boxes are shares"),
        (twice, "1 images listed twice"),
        (lambda c: c["annotations"][0].update(bbox=[14, 13, -10, -8]), "negative width"),
        (lambda c: c["annotations"][0].pop("bbox"), "taken from their polygons"),
        (lambda c: c["annotations"][0].update(bbox=[], segmentation=[4, 5, 14, 5, 14, 13]), "outer list"),
        (lambda c: c["categories"].insert(0, {"id": 0, "name": "_background_"}), ""),
    ],
)
def test_it_reads_as_the_clean_one(change: Change, told: str, tmp_path: Path) -> None:
    content = copy.deepcopy(CLEAN)
    change(content)
    assert not is_usual(content)
    file = tmp_path / "boxes.json"
    file.write_text(json.dumps(content))
    found, notes = load_repaired(file, polygons=False)
    assert facts(found) == facts(CLEAN) and told in " ".join(notes)
    assert bool(notes) == bool(told)


def test_a_clean_file_is_not_touched(tmp_path: Path) -> None:
    assert is_usual(CLEAN) and repair(copy.deepcopy(CLEAN), tmp_path) == ()
    (tmp_path / "a.json").write_text(json.dumps(CLEAN))
    assert load_repaired(tmp_path / "a.json") == (CLEAN, ())


def test_parts_of_a_polygon() -> None:
    content = copy.deepcopy(CLEAN)
    good = content["annotations"][0]["segmentation"][0]
    content["annotations"][0]["segmentation"] = [[1, 2], good, ["x"] * 6]
    (note,) = repair(content, Path("a.json"))
    assert content["annotations"][0]["segmentation"] == [good] and "broken parts" in note
    content["annotations"][0]["segmentation"] = [[1, 2]]
    repair(content, Path("a.json"))
    assert content["annotations"][0]["segmentation"] == [[1, 2]], (
        "nothing good is left to the reader of masks"
    )
