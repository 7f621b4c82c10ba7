from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pocketvision.core.errors import InputError
from pocketvision.datasets import ClassificationRecords, divide, read_coco, read_mask_folder
from pocketvision.datasets.coco.ground_truth import coco_dataset
from pocketvision.datasets.records.splits import find_split, one_of_each, split_of, take


def many(names: list[str]) -> ClassificationRecords:
    paths = [f"/data/{name}" for name in names]
    return ClassificationRecords("/data", paths, np.arange(len(names)), np.zeros(len(names), int), ("a",))


def names_of(records: ClassificationRecords) -> set[str]:
    return {Path(path).name for path in records.image_paths}


def test_words_for_splits() -> None:
    words = {
        "train2017": "train", "my_valid.csv": "val", "validation": "val", "TEST": "test",
        "_annotations": None, "trainval": "trainval", "test-val": "val", "retrained": None,
        "training": "train",
    }  # fmt: skip
    assert {word: split_of(word) for word in words} == words
    assert find_split(["train", "valid"], "val") == "valid" and find_split(["valid", "val"], "val") == "val"
    assert find_split(["Validation"], "val") == "Validation" and find_split(["train"], "test") is None
    assert find_split(["train", "val"], "valid") == "val" and find_split(["val"], "Validation") == "val"
    assert find_split(["validation"], "valid") == "validation" and find_split(["my_val"], "valid") is None


def test_one_of_each_split() -> None:
    places = {"train_b": 1, "test": 2, "Training": 3, "train_a": 4, "site": 5}
    assert one_of_each(places, Path("root")) == {"train": 3, "test": 2, "site": 5}
    assert one_of_each({"val": 1, "valid": 1}, Path("root")) == {"val": 1}
    for pair in ({"train_b": 1, "train_a": 4}, {"train": 1, "Train": 4}):
        with pytest.raises(InputError, match=r"root: '.*' and '.*' are both of the split 'train'"):
            one_of_each({"test": 2, **pair}, Path("root"))


def test_parts_do_not_overlap_and_are_near_the_fraction() -> None:
    records = many([f"{i}.jpg" for i in range(4000)])
    train, val = divide(records, 0.25)
    assert names_of(train) | names_of(val) == names_of(records) and not names_of(train) & names_of(val)
    # The number of images is binomial: 1000 with a standard deviation of 27.
    assert 890 < len(val) < 1110
    assert names_of(divide(records, 0.25, seed=1)[1]) != names_of(val)
    assert names_of(divide(records, 0.3)[1]) > names_of(val)


def test_other_images_and_their_order_change_nothing() -> None:
    names = [f"{i}.jpg" for i in range(100)]
    val = names_of(divide(many(names))[1])
    more = names_of(divide(many([*reversed(names), *(f"new{i}.jpg" for i in range(100))]))[1])
    assert {name for name in more if not name.startswith("new")} == val
    decomposed, composed = "u\u0308ber.jpg", "\u00fcber.jpg"
    for seed in range(20):
        sides = [decomposed in names_of(divide(many([*names, decomposed]), seed=seed)[1])]
        sides.append(composed in names_of(divide(many([*names, composed]), seed=seed)[1]))
        assert sides[0] == sides[1]


def test_each_part_has_an_image() -> None:
    for count in range(2, 6):
        for seed in range(30):
            train, val = divide(many([f"{i}.jpg" for i in range(count)]), seed=seed)
            assert len(train) >= 1 and len(val) >= 1
    with pytest.raises(InputError, match="/data has 1 image: add"):
        divide(many(["a.jpg"]))
    with pytest.raises(ValueError, match=r"val_fraction is 1\.5"):
        divide(many(["a.jpg", "b.jpg"]), 1.5)


def test_boxes_stay_with_their_images(coco: Callable[..., Path]) -> None:
    records = read_coco(coco(), "train")
    part = take(records, [3, 1])
    assert part.image_ids.tolist() == [10, 40] and [Path(p).name for p in part.image_paths] == [
        "1.jpg",
        "4.jpg",
    ]
    assert part.boxes.tolist() == [[5, 6, 25, 16], [30.5, 20, 40.5, 30]]
    assert part.labels.tolist() == [1, 2] and part.areas.tolist() == [150, 80]
    assert part.offsets.tolist() == [0, 2, 2]
    truth = coco_dataset(part)
    assert {row["image_id"] for row in truth["annotations"]} == {10}
    assert [image["id"] for image in truth["images"]] == [10, 40]


def test_masks_stay_with_their_images(masks: Path) -> None:
    train, val = divide(read_mask_folder(masks, "train", ignore_ids=[9]), 0.4)
    assert len(train) + len(val) == 3
    for part in (train, val):
        pairs = zip(part.image_paths, part.mask_paths, strict=True)
        assert all(Path(image).stem == Path(mask).stem for image, mask in pairs)
