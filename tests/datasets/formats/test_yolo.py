"""Covers datasets/readers/yolo_layouts.py."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pocketvision.core.errors import InputError
from pocketvision.datasets import YoloDataModule, detect_format, read_yolo


@pytest.fixture
def yolo(tmp_path: Path, write_image: Callable[..., None]) -> Path:
    """train a, b (background), c/d; no val."""
    for name in ("a", "b", "c/d"):
        write_image(tmp_path / "images" / "train" / f"{name}.jpg")
        (tmp_path / "labels" / "train" / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / "labels" / "train" / "a.txt").write_text("1 0.5 0.5 0.5 0.25\n\n0 0.1 0.1 0.1 0.1\r\n")
    (tmp_path / "labels" / "train" / "c" / "d.txt").write_text("2 0.95 0.5 0.2 1.0")
    (tmp_path / "data.yaml").write_text("path: .\ntrain: images/train\nnames: {0: no, 2: 1e3, 1: dog}\n")
    return tmp_path


def test_boxes_names_and_background(yolo: Path) -> None:
    records = read_yolo(yolo, "train")
    assert records.class_names == ("no", "dog", "1e3") and records.category_ids == (0, 1, 2)
    assert [Path(path).name for path in records.image_paths] == ["a.jpg", "b.jpg", "d.jpg"]
    assert records.labels.tolist() == [1, 0, 2] and records.offsets.tolist() == [0, 2, 2, 3]
    assert records.boxes[0].tolist() == [15, 15, 45, 25] and records.boxes[2].tolist() == [51, 0, 60, 40]
    background, beyond = map(str, records.notes)
    assert background.startswith("1 image has no label file") and "b.jpg" in background
    assert beyond.startswith("1 box reaches") and "d.txt, line 1" in beyond
    assert read_yolo(yolo / "data.yaml", "train").image_paths == records.image_paths


def test_keypoints_are_left_out(yolo: Path) -> None:
    (yolo / "labels" / "train" / "a.txt").write_text("1 0.5 0.5 0.5 0.25 0.1 0.2 0.3 0.4")
    as_polygon = read_yolo(yolo, "train").boxes[0].tolist()
    (yolo / "data.yaml").write_text((yolo / "data.yaml").read_text() + "kpt_shape: [2, 2]\n")
    assert read_yolo(yolo, "train").boxes[0].tolist() == [15, 15, 45, 25] != as_polygon


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("1 0.5 0.5 x 0.25", ["line 1", "'1 0.5 0.5 x 0.25' instead of numbers"]),
        ("1 0.5 0.5 nan 0.25", ["line 1", "no finite numbers"]),
        ("1 30 20 10 10", ["line 1", "no fractions", "divide pixels"]),
        ("1 0.5 0.5 0.25", ["line 1", "4 columns"]),
        ("1 0.5 0.5 0.25 0.1 0.9 0.1 0.2", ["line 1", "8 columns"]),
        ("3 0.5 0.5 0.1 0.1", ["line 1", "class 3", "classes 0 to 2"]),
        ("-1 0.5 0.5 0.1 0.1", ["class -1"]),
        ("0.5 0.5 0.5 0.1 0.1", ["class 0.5"]),
    ],
)
def test_bad_line(yolo: Path, line: str, words: list[str]) -> None:
    (yolo / "labels" / "train" / "c" / "d.txt").write_text(line)
    with pytest.raises(InputError) as error:
        read_yolo(yolo, "train")
    assert all(word in str(error.value) for word in [r"d.txt", *words])


@pytest.mark.parametrize("empty", ["val: []", "val: {}", "test: [null]", "test: ['']", "val: {a: b}"])
def test_keys_without_a_path_state_nothing(yolo: Path, empty: str) -> None:
    (yolo / "data.yaml").write_text(f"train: images/train\n{empty}\nnames: [a, b, c]\n")
    found = detect_format(yolo)
    assert found.splits == ("train",) and found.arguments["divide"] == "train"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("train: images/train\nnames: [a, b", "no valid YAML"),
        ("train: images/train\nnames: 5", "has no class names"),
        ("train: images/train\nnames: [a, a, b]", "each once"),
        ("train: images/train\nnames: {x: a}", "no class numbers"),
        ("train: images/train\nnc: 2\nnames: [a, b, c]", "says nc: 2, but has 3 names"),
        ("train: images/trian\nnames: [a, b, c]", "'train: images/trian', but there is no .*trian"),
        ("val: images/train\nnames: [a, b, c]", "no split 'train': it has val"),
        ("val: images/train\ntrain: []\nnames: [a, b, c]", "has 'train' without any path: write the folder"),
        ("train: [null, ~]\nnames: [a, b, c]", "has 'train' without any path: write the folder"),
        ("- names: [a]\n- 3\nnames: x", "no valid YAML"),
    ],
)
def test_bad_yaml(yolo: Path, text: str, words: str) -> None:
    (yolo / "data.yaml").write_text(text)
    with pytest.raises(InputError, match=words) as error:
        read_yolo(yolo, "train")
    assert "data.yaml" in str(error.value) and "\n" not in str(error.value)


def test_a_name_that_no_class_number_has(yolo: Path) -> None:
    (yolo / "data.yaml").write_text("train: images/train\nnames: {0: a, 2: c}\n")
    with pytest.raises(InputError, match=r"a\.txt, line 1 has class 1"):
        read_yolo(yolo, "train")
    (yolo / "labels" / "train" / "a.txt").write_text("0 0.5 0.5 0.5 0.25\n")
    assert read_yolo(yolo, "train").class_names == ("a", None, "c")


def test_folders_without_yaml(yolo: Path, write_image: Callable[..., None]) -> None:
    (yolo / "data.yaml").unlink()
    with pytest.raises(InputError, match=r"YOLO classes are called: write the names into .*classes\.txt"):
        read_yolo(yolo, "train")
    (yolo / "labels" / "classes.txt").write_text("no\ndog\n1e3\n")
    assert len(read_yolo(yolo, "train").boxes) == 3
    for folder in ("images", "labels"):
        for file in list((yolo / folder / "train").iterdir()):
            file.rename(yolo / folder / file.name)
        (yolo / folder / "train").rmdir()
    assert len(read_yolo(yolo, "all").boxes) == 3
    with pytest.raises(InputError, match="no split 'train': it has all"):
        read_yolo(yolo, "train")


def test_missing_files(yolo: Path) -> None:
    (yolo / "list.txt").write_text("images/train/a.jpg\nimages/train/gone.jpg\n")
    (yolo / "data.yaml").write_text("train: list.txt\nnames: [a, b, c]\n")
    with pytest.raises(InputError, match=r"list\.txt, image 2 names .*gone\.jpg, which is nowhere below"):
        read_yolo(yolo, "train")
    (yolo / "data.yaml").write_text("train: images/train\nnames: [a, b, c]\n")
    for file in (yolo / "labels").rglob("*.txt"):
        file.unlink()
    with pytest.raises(InputError, match=r"None of the 3 images has labels: put those of .*a\.jpg into"):
        read_yolo(yolo, "train")
    with pytest.raises(InputError, match=r"no data folder .*nowhere"):
        read_yolo(yolo / "nowhere", "train")


def test_yaml_of_another_machine(yolo: Path) -> None:
    (yolo / "data.yaml").write_text("path: /content/x\ntrain: /content/x/images/train\nnames: [a, b, c]\n")
    assert len(read_yolo(yolo, "train")) == 3


def test_a_split_is_divided(yolo: Path) -> None:
    data = YoloDataModule(yolo, divide="train", val_fraction=0.4, num_workers=0, batch_size=1)
    train, val = data.records("train"), data.records("val")
    assert len(train) + len(val) == 3 and not set(train.image_paths) & set(val.image_paths)
    with pytest.raises(InputError, match="no split 'test'"):
        data.records("test")
