"""Covers datasets/coco/ground_truth.py."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pocketvision.core.errors import InputError
from pocketvision.datasets import read_coco
from pocketvision.datasets.coco.ground_truth import coco_dataset

Coco = Callable[..., Path]


def test_order_gaps_crowd_and_background(coco: Coco) -> None:
    records = read_coco(coco(), "train")
    assert records.class_names == ("dog", "cat", "owl")
    assert records.category_ids == (2, 7, 90)
    assert records.image_ids.tolist() == [30, 10, 20, 40]
    assert [records.labels[records.boxes_of(i)].tolist() for i in range(4)] == [[0], [1, 2], [0], []]
    assert records.boxes[records.boxes_of(1)].tolist() == [[5, 6, 25, 16], [30.5, 20, 40.5, 30]]
    assert records.crowd.tolist() == [True, False, False, False]
    assert records.areas.tolist() == [900, 150, 80, 99.5]
    assert records.sizes.tolist() == [[40, 60]] * 4
    assert records.notes == ()


@pytest.mark.parametrize("year", ["2017", "2014", ""])
@pytest.mark.parametrize("images", ["", "images"])
def test_official_layout(coco: Coco, tmp_path: Path, year: str, images: str) -> None:
    coco()
    root = tmp_path / "official"
    (root / "annotations").mkdir(parents=True)
    shutil.copy(tmp_path / "instances_train.json", root / "annotations" / f"instances_train{year}.json")
    shutil.copytree(tmp_path / "train", root / images / f"train{year}")
    assert len(read_coco(root, "train")) == 4
    with pytest.raises(InputError, match="no split 'val': it has train;"):
        read_coco(root, "val")


def set_box(box: Any) -> Callable[[dict[str, Any]], None]:
    return lambda content: content["annotations"][2].update(bbox=box)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (set_box([1, 2, float("nan"), 3]), ["annotation 3", "four finite numbers"]),
        (set_box([1, 2, "ten", 3]), ["annotation 3", "'ten'"]),
        (set_box([1, 2, 3]), ["annotation 3"]),
        (set_box(None), ["annotation 3"]),
        (lambda c: c["annotations"][2].pop("bbox"), ["annotation 3"]),
        (lambda c: c["annotations"][1].update(category_id=5), ["annotation 2", "category id 5"]),
        (lambda c: c["annotations"][1].update(image_id=5), ["annotation 2", "image id 5"]),
        (lambda c: c["images"][1].update(id=30), ["image id 30 twice", "3.jpg", "1.jpg"]),
        (lambda c: c["images"][1].update(id=None), ["integer 'id'"]),
        (lambda c: c["images"][1].update(file_name="gone.jpg"), ["gone.jpg", "image id 10", "add the image"]),
        (lambda c: c["images"].clear(), ["has no images"]),
        (lambda c: c["categories"][0].update(id=2), ["two categories"]),
        (lambda c: c.pop("categories"), ["'categories'"]),
        (lambda c: c.update(annotations={}), ["'annotations'"]),
    ],
)
def test_bad_entry(coco: Coco, change: Callable[[dict[str, Any]], Any], words: list[str]) -> None:
    root = coco(change)
    with pytest.raises(InputError) as error:
        read_coco(root, "train")
    for word in ["instances_train.json", *words]:
        assert word in str(error.value)


def test_broken_json_names_the_line(coco: Coco) -> None:
    file = coco() / "instances_train.json"
    file.write_text('{"images": [\n1,')
    with pytest.raises(InputError, match=r"instances_train\.json.*line 2"):
        read_coco(file.parent, "train")


def test_missing_folders(coco: Coco, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no data folder .*nowhere"):
        read_coco(tmp_path / "nowhere", "train")
    with pytest.raises(InputError, match="has no split 'val': it has train"):
        read_coco(coco(), "val")
    shutil.rmtree(tmp_path / "train")
    with pytest.raises(InputError, match=r"names \d\.jpg, which is n"):
        read_coco(tmp_path, "train")


def test_boxes_are_clipped_and_dropped_with_a_count(coco: Coco) -> None:
    def change(content: dict[str, Any]) -> None:
        rows = content["annotations"]
        rows[0]["bbox"] = [50, 30, 20, 20]
        rows[2]["bbox"] = [70, 10, 5, 5]
        rows[3]["bbox"] = [10, 10, 0, 12]

    records = read_coco(coco(change), "train")
    assert records.boxes.tolist() == [[0, 0, 60, 40], [50, 30, 60, 40]]
    flat, away, clipped = map(str, records.notes)
    assert flat.startswith("1 box without area") and "annotation 4" in flat
    assert away.startswith("1 box without area inside its image") and "annotation 3" in away
    assert clipped.startswith("1 box reaches") and "annotation 1" in clipped


def test_ground_truth_is_the_file(coco: Coco) -> None:
    def change(content: dict[str, Any]) -> None:
        for key in ("id", "area", "iscrowd"):
            del content["annotations"][0][key]

    root = coco(change)
    truth = coco_dataset(read_coco(root, "train").select(["owl"]))
    original = json.loads((root / "instances_train.json").read_text())
    assert truth["annotations"][1:] == original["annotations"][1:]
    assert truth["categories"] == original["categories"]
    first = truth["annotations"][0]
    assert (first["id"], first["area"], first["iscrowd"]) == (5, 200, 0)


def test_sizes_come_from_the_file_when_the_json_has_none(coco: Coco) -> None:
    root = coco(lambda c: [image.pop("height") for image in c["images"]])
    assert read_coco(root, "train").sizes.tolist() == [[40, 60]] * 4


def test_real_data(shared_data: Path) -> None:
    records = read_coco(shared_data / "coco_mini", "val")
    assert len(records) == 400 and len(records.class_names) == 80
    assert (records.boxes[:, 2:] > records.boxes[:, :2]).all()
    assert np.diff(records.offsets).sum() == len(records.boxes)
