"""Covers tasks/own/config_text.py, tasks/own/fit_to_data.py, tasks/own/found.py, tasks/own/settings.py.

Training on a data set without a config: what is found, chosen and written.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import cv2
import numpy as np
import pytest

from pocketvision.core.command import shipped_configs
from pocketvision.core.config import describe
from pocketvision.core.errors import InputError
from pocketvision.core.registered import TaskName, default_model, own_models, task_of
from pocketvision.core.resize import Resize
from pocketvision.datasets import VocDataModule, detect_format
from pocketvision.datasets.records.annotations import DetectionRecords
from pocketvision.doctor.anchors.fitted import STRIDES
from pocketvision.doctor.anchors.reach import AnchorLayout, ImageBoxes, match
from pocketvision.doctor.checks.shapes import fit_size
from pocketvision.runs.build import build
from pocketvision.runs.folder import load_experiment, override
from pocketvision.tasks.own import look as own_data
from pocketvision.tasks.own.fit_to_data import class_weights, crop_size, fit_anchors
from pocketvision.tasks.own.look import look_at, write_config
from pocketvision.tasks.own.recipe import derive_recipe
from pocketvision.tasks.own.settings import own_experiment

Tiny = Callable[[str], Path]
NONE = ["model.weights=None"]


def test_models_are_the_families_of_the_shipped_configs() -> None:
    pattern = re.compile(r"(ssdlite|gfl|lraspp|deeplabv3|classifier)_(v1|v2|v3_large|v3_small)_")
    matches = [match for name in shipped_configs() if (match := pattern.match(name))]
    assert set(own_models()) >= {match[0][:-1] for match in matches}
    assert [default_model(task) for task in get_args(TaskName)] == [
        "gfl_v3_small", "lraspp_v3_small", "classifier_v3_small",
    ]  # fmt: skip
    with pytest.raises(InputError, match=r"no model 'yolo': choose ssdlite_edgetpu, ssdlite_v1, "):
        task_of("yolo")


@pytest.mark.parametrize("model", own_models())
def test_every_model_is_written_and_builds(model: str, tiny: Tiny, tmp_path: Path) -> None:
    layout = {"detection": "voc", "segmentation": "masks", "classification": "image_folder"}[task_of(model)]
    overrides = [*NONE, "model.image_size=(96,96)", "data.num_workers=0"]
    own = look_at(tiny(layout), None, model, overrides)
    file, recipe = write_config(own, tmp_path, overrides, "train --data x")
    text = file.read_text()
    assert all(line in " ".join(text.split()) for line in (own.lines()[2], recipe.derivation[-1]))
    experiment, _ = load_experiment(file, overrides)
    built, data = build(experiment, pretrained=True)
    assert built.resize.image_size == (96, 96) and built.class_names == own.class_names
    assert data.batch_size == recipe.batch_size == 2 and experiment.trainer["max_steps"] == recipe.num_steps
    assert recipe == derive_recipe(4, len(own.class_names), 2, own.found.task, pretrained=False)


@pytest.mark.parametrize("layout", ["voc", "masks", "image_folder"])
def test_the_file_defines_what_was_measured(layout: str, tiny: Tiny, tmp_path: Path) -> None:
    """Minutes are measured with values, the run is made from the text."""
    own = look_at(tiny(layout), None, None, NONE)
    file, recipe = write_config(own, tmp_path, NONE, "train")
    experiment, _ = load_experiment(file, ())
    assert describe(experiment) == describe(own_experiment(own, recipe, None))


@pytest.mark.parametrize("word", ["trainer.accumulate_grad_batches=2", "trainer.devices=2"])
def test_a_step_in_parts_is_one_step_of_the_recipe(word: str, tiny: Tiny, tmp_path: Path) -> None:
    def made(name: str, *words: str) -> tuple[int, float, int]:
        (tmp_path / name).mkdir()
        own = look_at(tiny("voc"), None, None, words)
        file, recipe = write_config(own, tmp_path / name, [*words, *NONE], "train", check_weights=False)
        experiment, _ = load_experiment(file, ())
        assert experiment.trainer["max_steps"] == recipe.num_steps
        return recipe.num_steps, recipe.lr, experiment.task.keywords["reference_batch"]  # type: ignore[attr-defined]

    assert made("parts", "data.batch_size=2", word) == made("whole", "data.batch_size=4")


def test_what_was_read_is_not_read_again(tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tiny("voc")  # written before anybody counts what is
    split_reads, configs = list[str](), list[Path]()
    own_read, own_write = VocDataModule.read_split, Path.write_text

    def read(self: VocDataModule, split: str) -> DetectionRecords:
        split_reads.append(split)
        return own_read(self, split)

    def write(self: Path, *arguments: Any, **options: Any) -> int:
        configs.append(self)
        return own_write(self, *arguments, **options)

    def offline(backbone: object) -> Path:
        raise InputError("it could not be downloaded.")

    monkeypatch.setattr(VocDataModule, "read_split", read)
    monkeypatch.setattr(Path, "write_text", write)
    monkeypatch.setattr(
        own_data, "imagenet_file", lambda backbone: (_ for _ in ()).throw(InputError("gone."))
    )
    small = ["model.image_size=(96,96)", "data.num_workers=0", "data.batch_size=1"]
    own = look_at(root, None, None, small)
    file, _ = write_config(own, tmp_path, small, "train", minutes=1.0)
    experiment, _ = load_experiment(file, small)
    _, data = build(experiment, pretrained=True, read=own.data)
    assert len(data.records("train")) == 4 and data.records("val").class_names == own.class_names
    assert split_reads == ["train", "val"] and configs == [file]
    _, other = build(override(experiment, ["data.divide='train'"]), pretrained=True, read=own.data)
    assert len(other.records("train")) < 4 and split_reads[2:] == ["train"], "other splits are read"


@pytest.mark.parametrize(("most", "expected"), [(3, 100), (67, 110), (400, 600)])
def test_the_cap_on_boxes_follows_the_data_and_overrides_reach_it(
    most: int, expected: int, tiny: Tiny, tmp_path: Path
) -> None:
    """A picture of one class with more boxes than the cap of old: all of them can be found."""
    root = tmp_path / "crowded"
    shutil.copytree(tiny("coco"), root)
    file = root / "instances_train.json"
    content = json.loads(file.read_text())
    first = content["annotations"][0]
    content["annotations"] = [
        {**first, "id": i + 1, "bbox": [i % 60, i % 30, 10, 10], "iscrowd": 0} for i in range(most)
    ] + [{**first, "id": most + 1 + i, "iscrowd": 1} for i in range(200)]
    file.write_text(json.dumps(content))
    own = look_at(root, None, None, [])
    assert own.fitted.max_detections == expected
    assert f"at most {expected} boxes a picture" in "\n".join(own.lines())
    written, _ = write_config(own, tmp_path, NONE, "train --data x")
    for overrides, cap in (([], expected), (["model.max_detections=7"], 7)):
        model, _ = build(load_experiment(written, [*NONE, *overrides])[0], pretrained=False)
        assert model.postprocess.max_detections == cap  # type: ignore[union-attr]
        assert model.postprocess.candidates_per_class >= cap  # type: ignore[union-attr]


def test_what_was_found_is_said_and_kept(tiny: Tiny, tmp_path: Path) -> None:
    root = tmp_path / 'my "odd" \\ dätä'
    shutil.copytree(tiny("voc"), root)
    for split in ("train", "val", "trainval"):
        (root / "ImageSets" / "Main" / f"{split}.txt").unlink()
    own = look_at(root, None, None, [])
    lines = "\n".join(own.lines())
    assert "Pascal VOC boxes" in lines and "task: detection" in lines and "2 classes: Platelets, RBC" in lines
    assert "a fifth of 'test' is for validation" in lines
    assert own.num_images["train"] + own.num_images["val"] == 4 and own.model == "gfl_v3_small"
    file, _ = write_config(own, tmp_path, NONE, f"train --data {root}")
    assert file.name == "gfl_v3_small_my_odd_dätä.py"
    data = load_experiment(file, NONE)[0].data()
    assert Path(data.root) == root and len(data.read("train")) == own.num_images["train"]


def test_model_and_task_must_go_together(tiny: Tiny) -> None:
    assert look_at(tiny("voc_masks"), None, "deeplabv3_v2", []).found.task == "segmentation"
    with pytest.raises(InputError, match="lraspp_v2 is for segmentation, not detection"):
        look_at(tiny("voc"), "detection", "lraspp_v2", [])
    with pytest.raises(InputError, match="Did you mean 'batch_size'"):
        look_at(tiny("voc"), None, None, ["data.batch_siz=2"])


def test_without_the_published_file_it_starts_afresh_and_says_so(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    own = look_at(tiny("image_folder"), None, None, [])

    def offline(backbone: object) -> Path:
        raise InputError("it could not be downloaded.")

    for fetch, weights in ((offline, "None"), (lambda backbone: tmp_path, '"imagenet"')):
        monkeypatch.setattr(own_data, "imagenet_file", fetch)
        file, recipe = write_config(own, tmp_path, [], "train")
        assert f"weights={weights}," in file.read_text()
        assert (recipe.freeze_until is None) == (weights == "None")
    assert "random weights" in caplog.text and "could not be downloaded" in caplog.text
    assert "model.weights=FILE" in caplog.text


def test_anchors_reach_as_many_boxes_as_is_said(tiny: Tiny) -> None:
    """Counted again by the matcher of training, box by box."""
    train = detect_format(tiny("voc")).read("train")
    anchors, ceiling = fit_anchors(train, (320, 320))
    owners = np.repeat(np.arange(len(train)), np.diff(train.offsets))
    boxes = ImageBoxes(np.asarray(train.boxes, np.float64), owners, train.sizes.astype(np.int64))
    unmatched = match(boxes, AnchorLayout("own", anchors, STRIDES), Resize((320, 320))).unmatched
    assert ceiling == pytest.approx(1 - unmatched.mean()) and ceiling == 1.0


def test_input_size_and_class_weights_follow_the_images(tmp_path: Path) -> None:
    for i, (height, width) in enumerate([(600, 900), (1024, 2048), (1024, 2048)]):
        for name in ("images", "masks"):
            (tmp_path / name).mkdir(exist_ok=True)
        mask = np.zeros((height, width), dtype=np.uint8)
        mask[: height // 4] = 1
        mask[-10:] = 255
        cv2.imwrite(str(tmp_path / "images" / f"{i}.jpg"), np.zeros((height, width, 3), np.uint8))
        cv2.imwrite(str(tmp_path / "masks" / f"{i}.png"), mask)
    (tmp_path / "classes.txt").write_text("road\nsky\nbird\n")
    records = detect_format(tmp_path).read("all")
    size, advice = fit_size(records)
    assert size == (440, 888) and advice.mode == "letterbox" and crop_size(size) == (352, 352)
    road, sky, bird = class_weights(records)
    assert bird == 1.0 and road + sky == pytest.approx(2.0, abs=0.02)
    assert sky / road == pytest.approx(3**0.4, rel=0.03), "a third of the pixels, to the power -0.4"


def test_boxes_are_needed(tiny: Tiny, tmp_path: Path) -> None:
    shutil.copytree(tiny("coco"), tmp_path, dirs_exist_ok=True)
    for file in tmp_path.glob("instances_*.json"):
        file.write_text(json.dumps({**json.loads(file.read_text()), "annotations": []}))
    with pytest.raises(InputError, match="no boxes to train on"):
        look_at(tmp_path, None, None, [])
