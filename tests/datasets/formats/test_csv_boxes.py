"""Covers datasets/readers/csv_tables.py."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pocketvision.core.errors import InputError
from pocketvision.datasets import CsvDataModule, detect_format, read_csv_boxes
from pocketvision.datasets.formats import csv_boxes
from pocketvision.datasets.records.kinds import TEXT_ENCODING

HEADER = "image,xmin,ymin,xmax,ymax,label\n"


@pytest.fixture
def table(tmp_path: Path, write_image: Callable[..., None]) -> Path:
    """A file of boxes of a.jpg and b.jpg, without splits."""
    for name in ("a", "b"):
        write_image(tmp_path / "images" / f"{name}.jpg")
    (tmp_path / "boxes.csv").write_text(f"{HEADER}a.jpg,1,2,30,40,owl\nb.jpg,,,,,\na.jpg,5,5,9,9,cat\n")
    return tmp_path


def test_rows_of_an_image_may_lie_apart(table: Path) -> None:
    records = read_csv_boxes(table, "all")
    assert [Path(path).name for path in records.image_paths] == ["a.jpg", "b.jpg"]
    assert records.boxes.tolist() == [[1, 2, 30, 40], [5, 5, 9, 9]] and records.offsets.tolist() == [0, 2, 2]
    assert records.class_names == ("cat", "owl") and records.labels.tolist() == [1, 0]
    assert read_csv_boxes(table / "boxes.csv", "all").image_paths == records.image_paths
    with pytest.raises(InputError, match="no split 'train': it has all"):
        read_csv_boxes(table, "train")


def test_order_of_classes(table: Path) -> None:
    (table / "classes.csv").write_text("owl,0\nyak,1\ncat,2\n")
    assert read_csv_boxes(table, "all").class_names == ("owl", "yak", "cat")
    (table / "classes.csv").write_text("owl,0\n")
    with pytest.raises(InputError, match=r"classes\.csv has no class 'cat'"):
        read_csv_boxes(table, "all")


def test_marks_and_areas(table: Path) -> None:
    text = (
        HEADER.strip() + ",iscrowd,difficult,area\na.jpg,1,2,30,40,owl,1,0,7.5\nb.jpg,1,2,3,4,owl,0,True,\n"
    )
    (table / "boxes.csv").write_text(text)
    records = read_csv_boxes(table, "all")
    assert records.crowd.tolist() == [True, False] and records.areas.tolist() == [7.5, 4]
    assert records.difficult is not None and records.difficult.tolist() == [False, True]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("a.jpg,1,2,x,40,owl", ["line 3", "'x' instead of a number"]),
        ("a.jpg,1,2,nan,40,owl", ["line 3", "'nan'"]),
        ("a.jpg,1,2,,40,owl", ["line 3", "'' instead of a number"]),
        ("a.jpg,1,2,3,4,", ["line 3", "without a label"]),
        ("a.jpg,1,2,3", ["line 3", "4 fields instead of 6"]),
        (",1,2,3,4,owl", ["line 3", "names no image"]),
        ("gone.jpg,1,2,3,4,owl", ["line 3", "gone.jpg", "add the image"]),
        (f"{'x' * 300}.jpg,1,2,3,4,owl", ["line 3", "add the image"]),
        ('a.jpg,1,2,3,4,"ow\rl', ["boxes.csv"]),
    ],
)
def test_bad_row(table: Path, row: str, words: list[str]) -> None:
    (table / "boxes.csv").write_bytes(f"{HEADER}a.jpg,1,2,30,40,owl\n{row}\n".encode())
    if "\r" in row:  # a quote that is never closed takes the rest of the file
        assert read_csv_boxes(table, "all").class_names[0].startswith("ow")
        return
    with pytest.raises(InputError) as error:
        read_csv_boxes(table, "all")
    assert all(word in str(error.value) for word in ["boxes.csv", *words])


def test_bad_files(table: Path) -> None:
    (table / "boxes.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match=r"has no boxes in CSV: they are known by a \.csv with columns"):
        read_csv_boxes(table, "all")
    for name in ("boxes.csv", "more.csv"):
        (table / name).write_text(f"{HEADER}a.jpg,1,2,30,40,owl\n")
    with pytest.raises(InputError, match=r"boxes\.csv and .*more\.csv both have boxes of the split 'all'"):
        read_csv_boxes(table, "all")


def test_data_module_divides(table: Path) -> None:
    data = CsvDataModule(table, divide="all", num_workers=0, batch_size=1)
    assert [len(data.records(split)) for split in ("train", "val")] == [1, 1]
    assert data.class_names() == ("cat", "owl")


def test_a_file_is_read_once_by_each_who_needs_it(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = HEADER.strip() + ",split\na.jpg,1,2,30,40,\u00fc,train\nb.jpg,5,5,9,9,cat,val\n"
    (table / "boxes.csv").write_text(text, encoding="cp1252")
    read, opened = csv_boxes.read_table, []
    monkeypatch.setattr(csv_boxes, "read_table", lambda file, *rest: opened.append(file) or read(file, *rest))
    data = CsvDataModule(table, num_workers=0)
    for split in ("train", "val"):
        records = data.own_records(split)
        assert records.class_names == ("cat", "\u00fc") and len(records) == 1
        assert {note.kind: note.count for note in records.notes} == {TEXT_ENCODING: 1}
    assert len(opened) == 3, "to find the splits, and for each of them"
    found = dict.fromkeys(("train", "val"), (table / "boxes.csv", "all", ["cat", "\u00fc"]))
    assert detect_format(table).layout.splits == found, "rows are not kept"


def test_a_corrected_file_is_read_again(table: Path) -> None:
    good = (table / "boxes.csv").read_text()
    (table / "boxes.csv").write_text(good.replace("30", "x"))
    data = CsvDataModule(table, train_split="all", num_workers=0)
    with pytest.raises(InputError, match="'x' instead of a number"):
        data.own_records("all")
    (table / "boxes.csv").write_text(good + "c.jpg,1,2,3,4,yak\n")
    (table / "c.jpg").write_bytes((table / "images" / "a.jpg").read_bytes())
    assert data.own_records("all").class_names == ("cat", "owl", "yak")


@pytest.mark.parametrize("name", ["../other", "/etc", "..", "a/b"])
def test_a_split_is_no_path(name: str, table: Path) -> None:
    (table / "set").mkdir()
    for file in ("boxes.csv", "images"):
        (table / file).rename(table / "set" / file)
    (table / "set" / "images").rename(table / "other")
    text = f"{HEADER.strip()},split\na.jpg,1,2,30,40,owl,train\nb.jpg,5,5,9,9,cat,{name}\n"
    (table / "set" / "boxes.csv").write_text(text)
    with pytest.raises(InputError, match=r"have a split called .*: rename it in the annotations"):
        detect_format(table / "set")
