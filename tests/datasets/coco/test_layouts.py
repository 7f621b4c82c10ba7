"""Names of COCO files; the official ones are in test_boxes.py, samples in test_every_format.py."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pocketvision.core.errors import InputError
from pocketvision.datasets import read_coco
from pocketvision.datasets.coco.layouts import coco_files
from pocketvision.datasets.readers.tree import FileTree

Coco = Callable[..., Path]


@pytest.mark.parametrize(
    ("file", "folder", "split"),
    [
        ("train.json", "train", "train"),
        ("annotations/custom_Train_v2.json", "images", "train"),
        ("annotations/instances_default.json", "images/default", "default"),
        ("train/_annotations.coco.json", "train", "train"),
        ("valid/_annotations.coco.json", "valid", "val"),
        ("labels.json", "data", "all"),
        ("result.json", ".", "all"),
        ("annotations/instances_val2017.json", "images/val2017", "val"),
    ],
)
def test_names_and_folders(coco: Coco, tmp_path: Path, file: str, folder: str, split: str) -> None:
    coco()
    root = tmp_path / "set"
    if folder == "data":  # named in the JSON, as Label Studio does it
        root.mkdir()
        content = json.loads((tmp_path / "instances_train.json").read_text())
        for image in content["images"]:
            image["file_name"] = f"data/{image['file_name']}"
        (tmp_path / "instances_train.json").write_text(json.dumps(content))
    shutil.copytree(tmp_path / "train", root / folder)
    (root / file).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(tmp_path / "instances_train.json", root / file)
    assert coco_files(FileTree(root)) == {split: root / file}
    records = read_coco(root, split)
    assert len(records) == 4 and all(Path(path).is_file() for path in records.image_paths)
    with pytest.raises(InputError, match=f"no split 'test': it has {split}; name"):
        read_coco(root, "test")


def test_other_json_is_left_alone(coco: Coco, tmp_path: Path) -> None:
    root = coco()
    (root / "instances_train.json").rename(root / "boxes_train.json")
    for name, content in (
        ("captions_val.json", {"images": [], "annotations": []}),
        ("panoptic_val.json", {"images": [], "categories": [], "annotations": [{"segments_info": []}]}),
        ("empty_val.json", None),
        ("settings.json", [1]),
    ):
        (root / name).write_text("" if content is None else json.dumps(content))
    assert coco_files(FileTree(root)) == {"train": root / "boxes_train.json"}


def test_images_that_are_nowhere(coco: Coco, tmp_path: Path) -> None:
    root = coco()
    (root / "instances_train.json").rename(root / "boxes_train.json")
    (root / "train").rename(root / "elsewhere")
    assert len(read_coco(root, "train")) == 4, "found by their names"
    (root / "elsewhere").rename(root / "val")
    with pytest.raises(InputError, match=r"boxes_train\.json .*has no image folder: put its .*train"):
        read_coco(root, "train")
    (root / "boxes_train.json").write_text('{"images": [{"id": 1}], "annotations": [], "categories": []}')
    with pytest.raises(InputError, match=r"boxes_train\.json names no image file"):
        read_coco(root, "train")


def test_the_full_name_of_an_official_split(coco: Coco, tmp_path: Path) -> None:
    coco()
    root = tmp_path / "official"
    (root / "annotations").mkdir(parents=True)
    shutil.copy(tmp_path / "instances_train.json", root / "annotations" / "instances_train2017.json")
    shutil.copytree(tmp_path / "train", root / "train2017")
    assert read_coco(root, "train2017").image_paths == read_coco(root, "train").image_paths
