"""Formats of a file for each image: which split the folder of a file speaks of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pocketvision.core.errors import InputError
from pocketvision.datasets import detect_format

HEIGHT, WIDTH = 40, 80


@pytest.mark.parametrize("form", ["labelme", "voc"])
def test_an_older_folder_of_a_split_is_not_put_to_it(form: str, tmp_path: Path, write_image: Any) -> None:
    def write(folder: Path, names: str) -> None:
        for name in names:
            write_image(folder / f"{name}.jpg", HEIGHT, WIDTH)
            shape = {"label": "cat", "points": [[2, 3], [20, 30]], "shape_type": "rectangle"}
            box = "<xmin>2</xmin><ymin>3</ymin><xmax>20</xmax><ymax>30</ymax>"
            xml = f"<annotation><object><name>cat</name><bndbox>{box}</bndbox></object></annotation>"
            text = json.dumps({"shapes": [shape], "imagePath": f"{name}.jpg"}) if form == "labelme" else xml
            (folder / f"{name}.{'json' if form == 'labelme' else 'xml'}").write_text(text)

    write(tmp_path / "train", "ab")
    write(tmp_path / "train_old", "cd")
    write(tmp_path / "val" / "more", "e")
    found = detect_format(tmp_path, "detection")
    read = {split: [Path(path).stem for path in found.read(split).image_paths] for split in found.splits}
    assert read == {"train": ["a", "b"], "val": ["e"]}
    (tmp_path / "train").rename(tmp_path / "train_new")
    with pytest.raises(InputError, match="'train_new' and 'train_old' are both of the split 'train'"):
        detect_format(tmp_path, "detection").read("train")
