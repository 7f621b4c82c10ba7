"""Covers datasets/readers/voc_layouts.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from pocketvision.core.errors import InputError
from pocketvision.datasets import VocDataModule, read_voc
from pocketvision.datasets.coco.ground_truth import coco_dataset
from pocketvision.datasets.formats import voc as voc_format


def test_coordinates_names_and_ids(voc: Path) -> None:
    records = read_voc(voc, "train")
    assert records.class_names == ("cat", "dog", "owl") == read_voc(voc, "val").class_names
    assert records.image_ids.tolist() == [1, 2] and read_voc(voc, "val").image_ids.tolist() == [3]
    # 1-based and inclusive: the pixels 11..20 are the interval 10..20.
    assert records.boxes.tolist() == [[0, 0, 60, 40], [10, 5, 20, 15]]
    assert records.areas.tolist() == [2400, 100]
    assert [Path(path).name for path in records.image_paths] == ["a.jpg", "b.png"]
    assert len(records.boxes[records.boxes_of(1)]) == 0


def test_difficult_is_trained_on_and_ignored_in_the_truth(voc: Path) -> None:
    records = read_voc(voc, "train")
    assert not records.crowd.any()
    assert records.difficult is not None and records.difficult.tolist() == [False, True]
    assert [row["iscrowd"] for row in coco_dataset(records)["annotations"]] == [0, 1]


def test_missing_files(voc: Path) -> None:
    with pytest.raises(InputError, match="no split 'test': it has train, val"):
        read_voc(voc, "test")
    (voc / "JPEGImages" / "a.jpg").rename(voc / "JPEGImages" / "z.jpg")
    with pytest.raises(InputError, match=r"no image .*a\.jpg"):
        read_voc(voc, "train")
    (voc / "Annotations" / "a.xml").unlink()
    with pytest.raises(
        InputError,
        match=r"train\.txt names 'a', and there is no annotation .*a\.xml: add it, or remove the line",
    ):
        read_voc(voc, "train")
    (voc / "ImageSets" / "Main" / "train.txt").write_text("\n")
    with pytest.raises(InputError, match="'train' has no images"):
        read_voc(voc, "train")


@pytest.mark.parametrize("text", ["ten", "nan", ""])
def test_bad_coordinate(voc: Path, text: str) -> None:
    file = voc / "Annotations" / "a.xml"
    file.write_text(file.read_text().replace("<xmin>11<", f"<xmin>{text}<"))
    with pytest.raises(InputError, match=r"a\.xml has an object 'cat' whose xmin"):
        read_voc(voc, "train")


def test_broken_xml_names_the_line(voc: Path) -> None:
    (voc / "Annotations" / "a.xml").write_text("<annotation>\n<object>")
    with pytest.raises(InputError, match=r"a\.xml is no valid XML .*line 2"):
        read_voc(voc, "train")


def test_object_without_name_or_area(voc: Path) -> None:
    file = voc / "Annotations" / "a.xml"
    text = file.read_text()
    file.write_text(text.replace("<xmax>20<", "<xmax>10<"))
    records = read_voc(voc, "train")
    assert len(records.boxes) == 1 and "a.xml, object 2" in str(records.notes[0])
    file.write_text(text.replace("<name>cat</name>", ""))
    with pytest.raises(InputError, match=r"a\.xml has an object without a name"):
        read_voc(voc, "train")


def test_real_data(shared_data: Path) -> None:
    splits = {split: read_voc(shared_data / "bccd", split) for split in ("train", "val")}
    assert [len(records) for records in splits.values()] == [205, 87]
    assert splits["train"].class_names == ("Platelets", "RBC", "WBC")
    assert not set(splits["train"].image_ids) & set(splits["val"].image_ids)


def test_other_splits_are_read_once_for_their_classes(voc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parse, parsed = voc_format.parse_xml, []
    monkeypatch.setattr(
        voc_format, "parse_xml", lambda file, notes: parsed.append(file.stem) or parse(file, notes)
    )
    data = VocDataModule(voc, num_workers=0)
    assert data.own_records("train").class_names == ("cat", "dog", "owl") and sorted(parsed) == [
        "a",
        "b",
        "c",
    ]
    parsed.clear()
    assert data.own_records("val").class_names == ("cat", "dog", "owl") and parsed == ["c"]
