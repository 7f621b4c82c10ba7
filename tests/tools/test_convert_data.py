"""convert-data: what is said, and what is refused before anything is written."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pocketvision.datasets import detect_format
from pocketvision.tools.convert_data import main

Tiny = Callable[[str], Path]


def test_a_data_set_becomes_another(tiny: Tiny, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "deep" / "yolo"
    assert main([str(tiny("coco")), "--to", "yolo", "--output", str(output)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said == [
        f"COCO boxes in {tiny('coco')} with the splits train, val.",
        "train: 4 images, 4 boxes",
        "val: 4 images, 4 boxes",
        "Image and category ids are lost: images and classes are counted anew.",
        "Images are hard links to those of the source where possible: what is edited in one changes both "
        "(--copy-images copies them).",
        f"written: {output}",
    ]
    found = detect_format(output)
    assert found.format == "yolo" and found.read("train").class_names == ("cat", "owl")
    assert (output / "images" / "train" / "1.jpg").samefile(tiny("coco") / "train" / "1.jpg")
    copied = ["--to", "voc", "--output", str(tmp_path / "v"), "--copy-images"]
    assert main([str(output / "data.yaml"), *copied]) == 0
    assert "hard links" not in capsys.readouterr().out
    copy = tmp_path / "v" / "JPEGImages" / "train_1.jpg"  # val has another image of this name
    original = tiny("coco") / "train" / "1.jpg"
    assert copy.read_bytes() == original.read_bytes() and not copy.samefile(original)


@pytest.mark.parametrize(
    ("source", "output", "sentence"),
    [
        ("coco", ".", "exists already: choose another --output"),
        ("masks", "new", "holds no data set of a known format"),
        (None, "new", "There is no data set nowhere: check the path."),
    ],
)
def test_bad_input(
    source: str | None,
    output: str,
    sentence: str,
    tiny: Tiny,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "mine.txt").write_text("")
    place = "nowhere" if source is None else str(tiny(source))
    assert main([place, "--to", "csv", "--output", str(tmp_path / output)]) == 1
    assert sentence in capsys.readouterr().err and sorted(p.name for p in tmp_path.iterdir()) == ["mine.txt"]


def test_data_with_one_split_are_divided_by_clips(
    tiny: Tiny, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "clips"
    names = [f"{clip}_{i:02}.jpg" for clip in "abcde" for i in range(4)]
    rows = "".join(f"{name},1,1,9,9,cat\n" for name in names)
    root.mkdir()
    (root / "boxes.csv").write_text(f"image,xmin,ymin,xmax,ymax,label\n{rows}")
    for name in names:
        shutil.copy(tiny("coco") / "train" / "1.jpg", root / name)
    command = [str(root), "--to", "coco", "--divide-by", "prefix", "--val-fraction", "0.4"]
    assert main([*command, "--output", str(tmp_path / "coco")]) == 0
    said = capsys.readouterr().out
    assert "train: 12 images, 12 boxes" in said and "val: 8 images, 8 boxes" in said
    found = detect_format(tmp_path / "coco")
    sides = [{Path(p).name[0] for p in found.read(split).image_paths} for split in ("train", "val")]
    assert not sides[0] & sides[1] and len(sides[0] | sides[1]) == 5
    again = [str(tmp_path / "coco"), *command[1:], "--output", str(tmp_path / "again")]
    assert main(again) == 1
    assert "leave --divide-by out" in capsys.readouterr().err
    assert main([*command[:-1], "1.5", "--output", str(tmp_path / "third")]) == 1
    assert "--val-fraction is 1.5" in capsys.readouterr().err
