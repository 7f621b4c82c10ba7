"""Covers datasets/masks/layouts.py.

Two folders or keys of one split: a whole word counts before a part of a name; of equals none is taken.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pocketvision.core.errors import InputError
from pocketvision.datasets import detect_format
from pocketvision.datasets.formats.leftover import tell_leftover
from pocketvision.datasets.records.kinds import IMAGE_UNUSED
from pocketvision.datasets.records.notes import Notes

Write = Callable[..., None]
Build = Callable[[Path, str, Write, Write], None]


def classes(root: Path, split: str, image: Write, mask: Write) -> None:
    for name in "ab":
        image(root / split / name / f"of_{split}.jpg")


def yolo_outside(root: Path, split: str, image: Write, mask: Write) -> None:
    image(root / split / "images" / f"of_{split}.jpg")
    (root / split / "labels").mkdir(exist_ok=True)
    (root / split / "labels" / f"of_{split}.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    (root / "classes.txt").write_text("owl\n")


def yolo_inside(root: Path, split: str, image: Write, mask: Write) -> None:
    image(root / "images" / split / f"of_{split}.jpg")
    (root / "labels" / split).mkdir(parents=True)
    (root / "labels" / split / f"of_{split}.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    (root / "classes.txt").write_text("owl\n")


def yolo_together(root: Path, split: str, image: Write, mask: Write) -> None:
    image(root / split / f"of_{split}.jpg")
    (root / split / f"of_{split}.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    (root / "classes.txt").write_text("owl\n")


def masks_outside(root: Path, split: str, image: Write, mask: Write) -> None:
    image(root / split / "images" / f"of_{split}.jpg")
    mask(root / split / "masks" / f"of_{split}.png", np.zeros((40, 60), np.uint8))


def masks_inside(root: Path, split: str, image: Write, mask: Write) -> None:
    image(root / "images" / split / f"of_{split}.jpg")
    mask(root / "masks" / split / f"of_{split}.png", np.zeros((40, 60), np.uint8))


def masks_beside(root: Path, split: str, image: Write, mask: Write) -> None:
    image(root / split / f"of_{split}.png")
    mask(root / f"{split}annot" / f"of_{split}.png", np.zeros((40, 60), np.uint8))


LAYOUTS = [
    classes, yolo_outside, yolo_inside, yolo_together, masks_outside, masks_inside, masks_beside
]  # fmt: skip


@pytest.mark.parametrize("build", LAYOUTS)
@pytest.mark.parametrize("others", [("train_old", "train2"), ("a_train",)])
def test_a_whole_word_counts_before_a_part(
    build: Build, others: tuple[str, ...], tmp_path: Path, write_image: Write, write_mask: Write
) -> None:
    for split in ("train", "val", *others):
        build(tmp_path, split, write_image, write_mask)
    found = detect_format(tmp_path)
    readings = [found.read(split) for split in ("train", "val")]
    assert {Path(path).stem for path in readings[0].image_paths} == {"of_train"}
    assert set(found.splits) == {"train", "val"}
    notes = Notes(strict=False)
    tell_leftover(found.layout, readings, [], notes)
    left_out = {Path(image).stem for place in notes.kept[IMAGE_UNUSED] for image in place.images}
    assert left_out >= {f"of_{name}" for name in others}, "check-data tells them"


@pytest.mark.parametrize("build", LAYOUTS)
@pytest.mark.parametrize("pair", [("train_new", "train_old"), ("train", "training"), ("val", "valid")])
def test_two_equals_are_an_error(
    build: Build, pair: tuple[str, str], tmp_path: Path, write_image: Write, write_mask: Write
) -> None:
    for split in {"train_new", "val_1", *pair} if pair[0] != "train" else {"val", *pair}:
        build(tmp_path, split, write_image, write_mask)
    with pytest.raises(InputError) as error:
        detect_format(tmp_path)
    assert f"'{pair[0]}' and '{pair[1]}' are both of the split" in str(error.value)


def yaml_of(root: Path, write: Write, **splits: Any) -> Path:
    for split in ("one", "two", "three"):
        yolo_outside(root, split, write, write)
    lines = "".join(f"{key}: {value}\n" for key, value in splits.items())
    (root / "data.yaml").write_text(f"{lines}names: [owl]\n")
    return root


def test_two_keys_of_a_yaml(tmp_path: Path, write_image: Write) -> None:
    root = yaml_of(tmp_path, write_image, train="one/images", val="two/images", valid="three/images")
    with pytest.raises(InputError, match=r"data\.yaml: 'val' and 'valid' are both of the split 'val'"):
        detect_format(root)
    root = yaml_of(tmp_path, write_image, train="one/images", val="two/images", valid="two/images")
    assert detect_format(root).splits == ("train", "val"), "they say the same"
    root = yaml_of(tmp_path, write_image, train="one/images", val="two/images", valid="")
    assert detect_format(root).splits == ("train", "val"), "nothing is stated"
