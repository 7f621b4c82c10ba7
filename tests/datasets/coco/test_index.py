"""Covers datasets/coco/json_file.py, datasets/coco/rows.py, datasets/readers/assemble.py,
datasets/records/stored.py."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pocketvision.core.errors import InputError
from pocketvision.core.resize import Resize
from pocketvision.datasets import CocoDataModule, DetectionRecords, read_coco
from pocketvision.datasets.coco import index as coco_index
from pocketvision.datasets.coco.json_file import load_coco
from pocketvision.datasets.coco.rows import RowTables, _all_at_once, _OneByOne
from pocketvision.datasets.readers.assemble import BoxArrays
from pocketvision.datasets.records.mapped import MappedArray, StringTable
from pocketvision.datasets.records.notes import Notes
from pocketvision.datasets.records.stored import is_large

Coco = Callable[..., Path]


@pytest.fixture
def indexed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of indexes; every file gets one."""
    monkeypatch.setenv("POCKETVISION_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(coco_index, "MIN_BYTES", 0)
    return tmp_path / "cache" / "annotations"


def assert_same(one: DetectionRecords, two: DetectionRecords) -> None:
    for name, value in vars(one).items():
        other = getattr(two, name)
        assert np.array_equal(value, other) if isinstance(value, np.ndarray) else value == other, name


def outside(content: dict[str, Any]) -> None:
    content["annotations"][0]["bbox"] = [50, 30, 20, 20]


def test_the_second_time_nothing_is_parsed(
    coco: Coco, indexed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = coco(outside)
    monkeypatch.setattr(coco_index, "MIN_BYTES", 1 << 20)
    plain = read_coco(root, "train")
    assert not indexed.exists() and type(plain.image_paths) is list
    monkeypatch.setattr(coco_index, "MIN_BYTES", 0)
    first = read_coco(root, "train")
    monkeypatch.setattr("pocketvision.datasets.formats.coco.load_coco", None)
    second = read_coco(root, "train")
    for records in (first, second):
        assert_same(plain, records)
        assert isinstance(records.boxes, MappedArray) and isinstance(records.image_paths, StringTable)
    assert len(plain.notes) == 1


def test_a_changed_file_is_read_again(coco: Coco, indexed: Path) -> None:
    root = coco()
    read_coco(root, "train")
    file = root / "instances_train.json"
    content = json.loads(file.read_text())
    content["annotations"][0]["bbox"][0] = 6  # the size stays
    file.write_text(json.dumps(content))
    os.utime(file, ns=(5, 5))
    assert read_coco(root, "train").boxes[1, 0] == 6
    assert len(list(indexed.iterdir())) == 1  # the old one is gone
    outside(content)
    file.write_text(json.dumps(content))
    os.utime(file, ns=(5, 5))
    assert len(read_coco(root, "train").notes) == 1


@pytest.mark.parametrize(
    "damage", [lambda content: content[:-50], lambda content: b"", lambda content: b"x" * 5000]
)
def test_a_damaged_index_is_written_anew(coco: Coco, indexed: Path, damage: Callable[[bytes], bytes]) -> None:
    root = coco()
    expected = read_coco(root, "train")
    (file,) = indexed.iterdir()
    content = file.read_bytes()
    file.unlink()
    file.write_bytes(damage(content))
    assert_same(expected, read_coco(root, "train"))
    assert file.read_bytes() == content


def test_images_must_still_be_there(coco: Coco, indexed: Path) -> None:
    root = coco()
    read_coco(root, "train")
    (root / "train" / "1.jpg").unlink()
    with pytest.raises(InputError, match=r"\(image id 10\) names 1\.jpg, which is n"):
        read_coco(root, "train")


def test_sizes_that_only_the_images_know_are_not_kept(coco: Coco, indexed: Path) -> None:
    root = coco(lambda content: content["images"][0].pop("width"))
    assert len(read_coco(root, "train")) == 4 and not indexed.exists()


def test_a_cache_that_cannot_be_written_costs_only_time(coco: Coco, indexed: Path) -> None:
    indexed.parent.write_text("no folder")
    assert len(read_coco(coco(), "train")) == 4


def many(content: dict[str, Any]) -> None:
    content["annotations"] = [
        {**row, "id": 10 * i + row["id"]} for i in range(12_000) for row in content["annotations"][2:]
    ]


def test_workers_get_the_place_of_the_data(coco: Coco, indexed: Path) -> None:
    root = coco(many)
    data = CocoDataModule(root, num_workers=1)
    data.connect(("dog", "cat", "owl"), Resize((64, 64)))
    unchanged = data.records("train")
    assert unchanged.labels is data._read["train"].labels
    data.connect(("owl", "dog"), Resize((64, 64)))
    for records in (unchanged, data.records("train")):
        pickled = pickle.dumps(records)
        assert len(pickled) < 4000 < len(records.boxes)
        assert_same(records, pickle.loads(pickled))


def test_small_records_are_sent_as_they_are(coco: Coco) -> None:
    assert not is_large(read_coco(coco(), "train"))
    data = CocoDataModule(coco(), num_workers=1)
    data.connect(data.class_names(), Resize((64, 64)))
    assert type(data.records("train").boxes) is np.ndarray


def lists(rows: list[dict[str, Any]], **changes: Any) -> list[dict[str, Any]]:
    return [dict(rows[0], **changes), *rows[1:]]


def test_both_ways_to_check_agree(coco: Coco) -> None:
    content = load_coco(coco() / "instances_train.json")
    owners = {row["id"]: i for i, row in enumerate(content["images"])}
    label_of = {2: 0, 7: 1, 90: 2}
    rows = content["annotations"]
    fast = _all_at_once(rows, owners, label_of)
    assert fast is not None
    tables = RowTables(Path("x"), owners, label_of, ["a"] * len(owners))
    slow = _OneByOne(rows, tables, Notes(), lambda: rows).read()
    for name, one, two in zip(BoxArrays._fields, fast, slow, strict=True):
        assert np.array_equal(one, two) and one.dtype == two.dtype, name
    for change in (
        {"bbox": [1, 2, 3]}, {"bbox": [1, 2, 3, True]}, {"bbox": "1234"}, {"bbox": [1, 2, 3, float("nan")]},
        {"bbox": [1, 2, 3, 10**400]}, {"image_id": 10.0}, {"image_id": "10"}, {"image_id": [1]},
        {"category_id": True}, {"category_id": 3}, {"area": None}, {"area": float("inf")}, {"area": "1"},
        {"iscrowd": "yes"},
    ):  # fmt: skip
        assert _all_at_once(lists(rows, **change), owners, label_of) is None, change


@pytest.mark.parametrize(
    "change",
    [
        {"bbox": [1, 2, 3, 10**400]},
        {"image_id": [1]},
        {"image_id": 10**30},
        {"category_id": {}},
    ],
)
def test_absurd_values_are_sentences(coco: Coco, change: dict[str, Any]) -> None:
    root = coco(lambda content: content["annotations"][0].update(change))
    with pytest.raises(InputError, match=r"instances_train\.json, annotation 1: "):
        read_coco(root, "train")


def test_polygons_are_left_out_and_nothing_else(tmp_path: Path) -> None:
    tricky = r'a "segmentation": [[1, 2]] \ "segmentation":[3] {'
    rows = [
        {"segmentation": [[1, 2.5, -3e-5], [4]], "id": 1, "name": tricky},
        {"id": 2, "segmentation": []},
        {"id": 3, "segmentation": {"counts": [1, 2], "size": [3, 4]}, "bbox": [1, 2, 3, 4]},
        {"segmentation": None, "bbox": [[1], 2]},
    ]
    for indent in (None, 2):
        text = json.dumps({"images": [], "annotations": rows, "categories": []}, indent=indent)
        (tmp_path / "a.json").write_text(text)
        assert load_coco(tmp_path / "a.json")["annotations"] == rows
        found = load_coco(tmp_path / "a.json", polygons=False)["annotations"]
        assert found == [{**rows[0], "segmentation": 0}, {**rows[1], "segmentation": 0}, *rows[2:]]


def test_deep_nesting_is_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[" * 100_000)
    with pytest.raises(InputError, match="nested too deeply"):
        load_coco(tmp_path / "a.json")
