"""Covers datasets/convert/between_formats.py, datasets/convert/write_coco.py, datasets/convert/write_csv.py,
datasets/convert/write_voc.py, datasets/convert/write_yolo.py.

Detection data sets from format to format: nothing changes, and what must get lost is said.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pocketvision.core.errors import InputError
from pocketvision.datasets import DetectionRecords, detect_format, read_coco, read_csv_boxes
from pocketvision.datasets.convert.between_formats import WRITERS, convert_data
from pocketvision.datasets.convert.common import DetectionWriter, convert

FILES = {"train": ("one/a.jpg", "two/a.jpg", "b ü.png", "empty.jpg"), "val": ("c.d.webp", "one/a.jpg")}
NAMES = ("zebra", "über maus", "never seen")


def boxes_of(path: str) -> np.ndarray:
    """Boxes with odd fractions; some reach the borders of the 60x40 pixels."""
    rng = np.random.default_rng(len(path))
    boxes = np.sort(rng.uniform(0, 1, (5, 2, 2)), axis=1).reshape(5, 4) * [60, 40, 60, 40]
    boxes[0] = 0, 0, 60, 40
    boxes[1, :2] = 0
    return boxes.astype(np.float32)[: 0 if "empty" in path else 5]


@pytest.fixture
def splits(tmp_path: Path, write_image) -> dict[str, DetectionRecords]:  # type: ignore[no-untyped-def]
    result = {}
    for split, files in FILES.items():
        for i, file in enumerate(files):
            write_image(tmp_path / "source" / file, seed=i)
        boxes = [boxes_of(file) for file in files]
        flat = np.concatenate(boxes)
        result[split] = DetectionRecords(
            root=str(tmp_path / "source"),
            image_paths=[str(tmp_path / "source" / file) for file in files],
            image_ids=np.arange(1, len(files) + 1),
            sizes=np.full((len(files), 2), (40, 60), dtype=np.int32),
            offsets=np.cumsum([0, *map(len, boxes)]),
            boxes=flat,
            labels=np.arange(len(flat)) % 2,
            crowd=np.zeros(len(flat), dtype=np.bool_),
            areas=(flat[:, 2:] - flat[:, :2]).astype(np.float64).prod(axis=1),
            class_names=NAMES,
            category_ids=(1, 2, 3),
        )
    return result


def content(records: DetectionRecords) -> dict[bytes, list[tuple[object, ...]]]:
    """Bytes of each image file -> its boxes, class names and marks."""
    difficult = np.zeros(len(records.labels), np.bool_) if records.difficult is None else records.difficult
    rows = {}
    for index, path in enumerate(records.image_paths):
        owned = records.boxes_of(index)
        names = [records.class_names[label] for label in records.labels[owned]]
        columns = (records.boxes[owned].tolist(), names, records.crowd[owned], difficult[owned])
        rows[Path(path).read_bytes()] = list(zip(*columns, strict=True))
    return rows


def write(splits: dict[str, DetectionRecords], to: str, output: Path) -> list[str]:
    return convert(splits, WRITERS[to], output)


@pytest.mark.parametrize("second", WRITERS)
@pytest.mark.parametrize("first", WRITERS)
def test_nothing_changes_on_the_way(
    first: str, second: str, splits: dict[str, DetectionRecords], tmp_path: Path
) -> None:
    assert write(splits, first, tmp_path / "first") == []
    found = detect_format(tmp_path / "first")
    assert found.format == first and set(found.splits) == set(splits)
    counts, sentences = convert_data(found, second, tmp_path / "second")
    assert sorted(counts) == ["train: 4 images, 15 boxes", "val: 2 images, 10 boxes"] and sentences == []
    again = detect_format(tmp_path / "second")
    assert again.format == second
    for split, records in splits.items():
        back = again.read(split)
        assert isinstance(back, DetectionRecords) and back.class_names == NAMES
        assert content(back) == content(records)
        assert len(back.image_paths) == len(set(back.image_paths)) == len(FILES[split])


def test_what_a_format_cannot_hold_is_said(splits: dict[str, DetectionRecords], tmp_path: Path) -> None:
    train = splits["train"]
    marks = np.arange(15)
    own = replace(
        train,
        crowd=marks == 3,
        difficult=marks == 5,
        areas=train.areas / 2,
        image_ids=train.image_ids * 10,
        category_ids=(1, 5, 90),
    )
    crowd, difficult = "1 crowd boxes are left out", "1 objects lose the mark 'difficult'"
    areas, ids = "15 objects lose the area", "Image and category ids are lost"
    expected = {
        "coco": [difficult], "voc": [crowd, areas, ids], "yolo": [crowd, difficult, areas, ids], "csv": [ids],
    }  # fmt: skip
    for to, starts in expected.items():
        sentences = write({"train": own}, to, tmp_path / to)
        assert [s.startswith(start) for s, start in zip(sentences, starts, strict=True)] == [True] * len(
            starts
        )
        back = detect_format(tmp_path / to).read("train")
        assert isinstance(back, DetectionRecords)
        assert back.crowd.sum() == (to in ("coco", "csv")) and len(back.boxes) == 14 + back.crowd.sum()
        assert back.difficult is not None and back.difficult.sum() == (to in ("voc", "csv"))
    coco, table = read_coco(tmp_path / "coco", "train"), read_csv_boxes(tmp_path / "csv", "train")
    assert coco.category_ids == (1, 5, 90) and coco.image_ids.tolist() == [10, 20, 30, 40]
    for back in (coco, table):
        assert np.array_equal(back.areas, own.areas) and np.array_equal(back.crowd, own.crowd)


def test_ids_from_zero_become_ids_from_one(splits: dict[str, DetectionRecords], tmp_path: Path) -> None:
    zero = {name: replace(records, category_ids=(0, 1, 2)) for name, records in splits.items()}
    assert write(zero, "coco", tmp_path / "coco") == []
    assert read_coco(tmp_path / "coco", "val").category_ids == (1, 2, 3)


def test_splits_with_other_classes_get_all_of_them(
    splits: dict[str, DetectionRecords], tmp_path: Path
) -> None:
    val = replace(splits["val"], class_names=("gnu", "zebra"), category_ids=(4, 1))
    write({"train": splits["train"], "val": val}, "yolo", tmp_path / "yolo")
    back = detect_format(tmp_path / "yolo").read("val")
    assert isinstance(back, DetectionRecords)
    assert back.class_names == (*NAMES, "gnu") and set(back.labels.tolist()) == {0, 3}
    assert content(back) == content(val)


def test_images_are_links_or_copies_and_nothing_is_overwritten(
    splits: dict[str, DetectionRecords], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path: path.read_bytes() for path in (tmp_path / "source").rglob("*.*")}
    source = tmp_path / "source" / "two" / "a.jpg"
    write(splits, "coco", tmp_path / "linked")
    assert (tmp_path / "linked" / "train" / "two_a.jpg").samefile(source)
    convert(splits, WRITERS["coco"], tmp_path / "copied", copy_images=True)
    assert not (tmp_path / "copied" / "train" / "two_a.jpg").samefile(source)

    def no_links(*_: object, **__: object) -> None:
        raise OSError("Invalid cross-device link")

    monkeypatch.setattr(os, "link", no_links)
    write(splits, "coco", tmp_path / "elsewhere")
    assert (tmp_path / "elsewhere" / "train" / "two_a.jpg").read_bytes() == source.read_bytes()
    with pytest.raises(InputError, match="linked exists already"):
        write(splits, "voc", tmp_path / "linked")
    assert {path: path.read_bytes() for path in (tmp_path / "source").rglob("*.*")} == before


@pytest.mark.parametrize("name", ["../../x", "/tmp/x", "a/b", "..", "", " x", "a\nb", "c:\\x", "x" * 300])
def test_no_name_from_a_file_becomes_a_path(
    splits: dict[str, DetectionRecords], tmp_path: Path, name: str
) -> None:
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError, match="which is no name for a file"):
        write({name: splits["train"]}, "coco", tmp_path / "inner" / "out")
    assert sorted(tmp_path.rglob("*")) == before


def test_what_fails_half_way_leaves_nothing(splits: dict[str, DetectionRecords], tmp_path: Path) -> None:
    def half(parts: Any, target: Any) -> None:
        WRITERS["coco"].write(parts, target)
        raise KeyboardInterrupt

    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(KeyboardInterrupt):
        convert(splits, DetectionWriter(half, WRITERS["coco"].holds), tmp_path / "out")
    assert sorted(tmp_path.rglob("*")) == before
