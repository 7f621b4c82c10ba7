"""Covers datasets/formats/nearest.py.

What lies in a folder: found, or said in one sentence."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import pocketvision.datasets as datasets
from pocketvision.core.config import parameters
from pocketvision.core.errors import InputError
from pocketvision.core.resize import Resize
from pocketvision.datasets import detect_format
from pocketvision.datasets.format_modules import data_module_of
from pocketvision.datasets.formats import FORMATS, detect

Tiny = Callable[[str], Path]


@pytest.mark.parametrize(
    ("layout", "form"),
    [
        ("coco", "coco"),
        ("voc", "voc"),
        ("cityscapes", "cityscapes"),
        ("masks", "mask_folder"),
        ("image_folder", "image_folder"),
        ("voc_masks", "voc_masks"),
    ],
)
def test_what_is_found_makes_a_data_module(layout: str, form: str, tiny: Tiny) -> None:
    found = detect_format(tiny(layout))
    assert found.format == form and json.loads(json.dumps(found.arguments)) == found.arguments
    assert {"train", "val"} <= set(found.splits)
    data = getattr(datasets, found.data_module)(**found.arguments, num_workers=0, batch_size=2)
    data.connect(data.class_names(), Resize((32, 32)))
    assert len(next(iter(data.val_dataloader())).images) == 2
    assert len(data.records("train")) == len(found.read("train"))
    assert data.records("train").class_names == found.read("train").class_names


def test_every_format_has_its_module() -> None:
    assert all(hasattr(datasets, form.module_name) for form in FORMATS)
    assert len({form.name for form in FORMATS}) == len(FORMATS)


def test_the_guide_names_every_format() -> None:
    guide = (Path(__file__).resolve().parents[3] / "docs" / "guides" / "data.md").read_text(encoding="utf-8")
    assert not [form.title for form in FORMATS if f"{form.title}" not in guide]


def test_options_of_every_level_can_be_overridden() -> None:
    for form in FORMATS:
        names = parameters(partial(getattr(datasets, form.module_name), root="x"))
        assert {"root", "divide", "val_fraction", "split_seed", "batch_size", "val_split"} <= set(names)
    assert {"class_names", "ignore_ids", "binary"} <= set(parameters(partial(datasets.MaskFolderDataModule)))


def test_task_decides(tiny: Tiny, tmp_path: Path) -> None:
    assert detect_format(tiny("coco"), "segmentation").data_module == "CocoSegmentationDataModule"
    shutil.copytree(tiny("voc"), tmp_path / "both")
    shutil.copytree(tiny("voc_masks"), tmp_path / "both", dirs_exist_ok=True)
    with pytest.raises(
        InputError, match="both holds Pascal VOC boxes and Pascal VOC masks: choose with --task"
    ):
        detect_format(tmp_path / "both")
    assert detect_format(tmp_path / "both", "segmentation").format == "voc_masks"
    with pytest.raises(InputError, match="no task 'detekt': choose detection, segmentation, classification"):
        detect_format(tiny("coco"), "detekt")
    with pytest.raises(
        InputError, match=r"no data set of a known format, but .*; looked for folders of classes"
    ):
        detect_format(tiny("coco"), "classification")


def test_nothing_and_too_much(tmp_path: Path, tiny: Tiny) -> None:
    with pytest.raises(InputError, match=r"no data set .*nowhere: check the path"):
        detect_format(tmp_path / "nowhere")
    with pytest.raises(InputError, match="known format, but nothing; looked for COCO boxes"):
        detect_format(tmp_path)
    for i in range(30):
        (tmp_path / f"{i:02}.jpg").write_bytes(b"")
    with pytest.raises(InputError, match=r"but 00\.jpg, 01\.jpg, .* \.\.\. \(30 in all\); looked"):
        detect_format(tmp_path)
    shutil.copytree(tiny("coco"), tmp_path, dirs_exist_ok=True)
    (tmp_path / "boxes.csv").write_text("image,x,y,w,h,label\n00.jpg,1,2,3,4,owl\n")
    with pytest.raises(InputError, match="holds COCO boxes and boxes in CSV: keep one of them"):
        detect_format(tmp_path)
    assert detect_format(tmp_path / "boxes.csv").format == "csv"


def test_a_broken_file_is_named_only_if_it_is_all_there_is(tmp_path: Path, tiny: Tiny) -> None:
    (tmp_path / "data.yaml").write_text("names: [a, b")
    with pytest.raises(InputError, match=r"data\.yaml is no valid YAML"):
        detect_format(tmp_path)
    shutil.copytree(tiny("voc"), tmp_path, dirs_exist_ok=True)
    assert detect_format(tmp_path).format == "voc"


def test_a_folder_that_holds_one_folder(tiny: Tiny, tmp_path: Path) -> None:
    shutil.copytree(tiny("voc"), tmp_path / "VOCdevkit" / "VOC2007")
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / ".DS_Store").write_text("")
    assert detect_format(tmp_path).root == tmp_path / "VOCdevkit" / "VOC2007"


def test_nested_folders_and_loops_are_looked_at_once(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = tmp_path.joinpath("deep", *"abcdefgh")
    inner.mkdir(parents=True)
    looked_at: list[Path] = []
    monkeypatch.setattr(detect, "_look", lambda tree, formats: looked_at.append(tree.root) or {})
    with pytest.raises(InputError, match="deep holds no data set of a known format"):
        detect_format(tmp_path / "deep")
    assert len(looked_at) == 9 and len(set(looked_at)) == 9
    (tmp_path / "loop").mkdir()
    (tmp_path / "loop" / "again").symlink_to(".")
    looked_at.clear()
    with pytest.raises(InputError, match="known format, but again; looked for"):
        detect_format(tmp_path / "loop")
    assert len(looked_at) < 20
    monkeypatch.undo()
    shutil.copytree(tiny("voc"), inner / "VOC2007")
    assert detect_format(tmp_path / "deep").root == inner / "VOC2007"


def test_voc_does_not_answer_for_a_file(tiny: Tiny, tmp_path: Path) -> None:
    shutil.copytree(tiny("voc"), tmp_path / "both")
    shutil.copytree(tiny("coco"), tmp_path / "both", dirs_exist_ok=True)
    (tmp_path / "both" / "instances_train.json").rename(tmp_path / "both" / "coco.json")
    assert detect_format(tmp_path / "both" / "coco.json").format == "coco"


def test_a_config_may_call_its_split_as_others_do(tiny: Tiny) -> None:
    for layout in ("coco", "masks", "image_folder"):
        found = detect_format(tiny(layout))
        data = data_module_of(found)(num_workers=0, val_split="valid")
        assert data.own_records("valid").image_paths == found.read("val").image_paths


def test_a_file_stands_for_itself_alone(tiny: Tiny, tmp_path: Path) -> None:
    shutil.copytree(tiny("coco"), tmp_path / "coco")
    file = tmp_path / "coco" / "instances_val.json"
    found = detect_format(file)
    assert found.root == file and found.splits == ("val",) and found.arguments["divide"] == "val"
    other = tmp_path / "coco" / "fixed.json"
    other.write_text(file.read_text().replace('"file_name": "', '"file_name": "val/'))
    found = detect_format(other)
    assert found.splits == ("all",) and len(found.read("all")) == 4
    with pytest.raises(InputError, match="no split 'train': it has all"):
        found.read("train")


@pytest.mark.parametrize("kept", [(), ("train",), ("trainval", "test"), ("train", "test"), ("val",)])
def test_what_is_missing_is_made_from_one_split(kept: tuple[str, ...], tiny: Tiny, tmp_path: Path) -> None:
    root = tmp_path / "voc"
    shutil.copytree(tiny("voc"), root)
    lists = root / "ImageSets" / "Main"
    for file in list(lists.iterdir()):
        if file.stem not in kept:
            file.unlink()
    found = detect_format(root)
    assert set(found.splits) == set(kept or ("all",))
    assert found.arguments["divide"] == next(iter(kept or ("all",)))
    assert "a fifth of" in found.description and "chosen by file name" in found.description
    data = getattr(datasets, found.data_module)(**found.arguments, num_workers=0)
    paths = [path for split in ("train", "val") for path in data.records(split).image_paths]
    assert len(paths) == len(set(paths)) == 4
    assert "test" not in kept or len(data.records("test")) == 4


def test_masks_without_names(tmp_path: Path, masks: Path, write_mask: Callable[..., None]) -> None:
    (masks / "classes.txt").unlink()
    for file in (masks / "train" / "masks").iterdir():
        write_mask(file, np.full((40, 60), 1, dtype=np.uint8))
    found = detect_format(masks)
    assert found.arguments["class_names"] == [f"class_{i}" for i in range(10)], "9 is only in val"
    assert "no classes.txt, so the 10 classes are called class_0 to class_9" in found.description
    assert detect_format(masks, "segmentation").read("val").class_names[-1] == "class_9"


def test_a_split_without_masks_leaves_the_others(
    tmp_path: Path, write_image: Callable[..., None], write_mask: Callable[..., None]
) -> None:
    for split in ("train", "val", "test"):
        write_image(tmp_path / "images" / split / "a.jpg")
        if split != "test":
            write_mask(tmp_path / "masks" / split / "a.png", np.zeros((40, 60), np.uint8))
    found = detect_format(tmp_path)
    assert found.splits == ("train", "val") and len(found.read("val")) == 1
    with pytest.raises(InputError, match=r"images/test has no masks: put them into .*masks/test"):
        found.read("test")
    shutil.rmtree(tmp_path / "masks" / "val")
    with pytest.raises(InputError, match=r"images/val has no masks: put them into .*masks/val"):
        detect_format(tmp_path)


def test_real_data(shared_data: Path) -> None:
    found = {name: detect_format(shared_data / name) for name in ("bccd", "camvid", "coco_mini")}
    assert [f.format for f in found.values()] == ["voc", "mask_folder", "coco"]
    assert all("divide" not in f.arguments for f in found.values())
    assert set(found["bccd"].splits) == {"train", "val", "trainval", "test"}
    assert len(found["camvid"].arguments["class_names"]) == 12
