"""When images of rare classes are repeated, what is said of it, and that the written config does it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pocketvision.datasets import ClassificationRecords, DetectionRecords
from pocketvision.runs.folder import load_experiment
from pocketvision.tasks.own.fit_to_data import box_class_weights
from pocketvision.tasks.own.look import look_at, write_config
from pocketvision.tasks.own.rare_classes import fit_repeats
from pocketvision.tasks.own.recipe import derive_recipe
from pocketvision.tools.train import main as train

Tiny = Callable[[str], Path]


def boxes(*counts: int, num_images: int = 200, crowds: int = 0) -> DetectionRecords:
    """Class k in the first ``counts[k]`` images, and more crowds of class 0."""
    owners = [i for count in counts for i in range(count)]
    labels = [k for k, count in enumerate(counts) for _ in range(count)]
    order = np.argsort(owners, kind="stable")
    num = len(owners)
    return DetectionRecords(
        "root",
        [f"{i}.jpg" for i in range(num_images)],
        np.arange(num_images),
        np.full((num_images, 2), 100, np.int32),
        np.concatenate(([0], np.cumsum(np.bincount(owners, minlength=num_images)))),
        np.tile(np.float32([[1, 1, 20, 20]]), (num, 1)),
        np.array(labels, np.int64)[order],
        np.arange(num) < crowds,
        np.full(num, 361.0),
        tuple(f"class {k}" for k in range(len(counts))),
        tuple(range(len(counts))),
    )


@pytest.mark.parametrize("counts", [(200, 21), (200, 20), (19, 2), (200, 0), (2, 2, 2), (0, 0)])
def test_nothing_is_repeated(counts: tuple[int, ...]) -> None:
    """No class is in less than a tenth, or none is in ten times as many images as the rarest."""
    assert fit_repeats(boxes(*counts)) is None


def test_rare_classes_are_repeated_and_it_is_said() -> None:
    found = fit_repeats(boxes(200, 19, 8))
    assert found is not None and found.threshold == 0.1
    # 8 images at sqrt(0.1 / 0.04), 11 more at sqrt(0.1 / 0.095), the others once.
    assert found.num_drawn == int(np.ceil(8 * 2.5**0.5 + 11 * (0.1 / 0.095) ** 0.5 + 181))
    assert found.line() == (
        "rare classes: 2 of 3 are in less than 10% of the training images, the most frequent in 25 times as "
        "many as the rarest; data.repeat_threshold=0.1: an epoch draws 205 times from 200 images"
    )
    once = fit_repeats(boxes(4000, 1, num_images=4000))
    assert once is not None and once.threshold == 0.025 and once.num_drawn == 4009, "ten times at most"
    labels = ClassificationRecords("", ["x"] * 40, np.arange(40), np.arange(40) // 39, ("a", "b"))
    assert fit_repeats(labels) is None


def test_weights_of_boxes_have_their_mean() -> None:
    weights = box_class_weights(boxes(160, 40, 0, crowds=0))
    assert weights[2] == 1.0 and weights[1] / weights[0] == pytest.approx(4**0.4, rel=0.01)
    assert 0.8 * weights[0] + 0.2 * weights[1] == pytest.approx(1, abs=0.01)


def test_as_many_steps_in_longer_epochs() -> None:
    plain = derive_recipe(1000, 3, 8, "detection")
    longer = derive_recipe(1000, 3, 8, "detection", num_drawn=1600)
    assert plain.num_steps == 60 * 125 and longer.num_steps == 38 * 200
    assert longer.epochs_between_scores == 7 and "epochs that draw 1.6 times" in longer.derivation[0]


@pytest.fixture
def rare(tiny: Tiny, tmp_path: Path) -> Path:
    """A COCO set of 40 training images, all with one class, and one with another as well."""
    root = tmp_path / "rare"
    shutil.copytree(tiny("coco"), root)
    file = root / "instances_train.json"
    content = json.loads(file.read_text())
    first, box = content["images"][0], content["annotations"][0]
    images = [{**first, "id": i + 1, "file_name": f"copy{i}.jpg"} for i in range(40)]
    for image in images:
        shutil.copy(root / "train" / first["file_name"], root / "train" / image["file_name"])
    ids = [category["id"] for category in content["categories"]]
    own = [{**box, "id": i + 1, "image_id": i + 1, "category_id": ids[0]} for i in range(40)]
    own.append({**box, "id": 41, "image_id": 7, "category_id": ids[1]})
    file.write_text(json.dumps({**content, "images": images, "annotations": own}))
    return root


def test_the_written_config_repeats_and_says_so(rare: Path, tmp_path: Path) -> None:
    own = look_at(rare, "detection", None, [])
    assert own.num_drawn == 41 and own.lines()[-1].startswith("rare classes: 1 of 2 are in less than 10%")
    file, _ = write_config(own, tmp_path, [], "train --data", check_weights=False)
    text = file.read_text()
    assert "repeat_threshold=0.1," in text and "rare classes: 1 of 2" in text.partition('"""\n')[0]
    experiment, _ = load_experiment(file, [])
    assert experiment.data.keywords["repeat_threshold"] == 0.1  # type: ignore[attr-defined]
    for word, drawn in (("None", None), ("0.4", 43)):
        stated = look_at(rare, "detection", None, [f"data.repeat_threshold={word}"])
        assert stated.num_drawn == drawn and ("as stated" in "".join(stated.lines())) == (drawn is not None)


def test_a_config_with_an_automatic_recipe_repeats(rare: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = ["model.weights=None", "model.image_size=(64,64)", "data.batch_size=2", "data.num_workers=0"]
    command = ["own_detection", f"data.root={rare}", *small, "recipe=auto", "--print-config"]
    assert train(command) == 0
    said = capsys.readouterr().out
    assert "rare classes: 1 of 2" in said and "repeat_threshold=0.1," in said
    assert train([*command, "data.repeat_threshold=None"]) == 0
    assert "rare classes" not in capsys.readouterr().out, "off stays off"
    assert train([*command, "task.loss.class_weights=data", "data.repeat_threshold=0.05"]) == 0
    said = capsys.readouterr().out
    assert "repeat_threshold=0.05," in said and "rare classes" not in said
    assert train([*command, "task.loss.class_weights=(1.0,2.0,3.0)"]) == 0


def test_weights_from_the_boxes_are_trained_with(
    tiny: Tiny, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = ["model.weights=None", "model.image_size=(64,64)", "data.batch_size=2", "data.num_workers=0"]
    command = ["own_detection", f"data.root={tiny('coco')}", *small, "trainer.max_steps=1"]
    run = tmp_path / "run"
    assert train([*command, "task.loss.class_weights=data", "--run-dir", str(run)]) == 0
    assert "class_weights" in (run / "run.json").read_text()
    assert train([*command, "task.loss.class_weights=(1.0,)", "--run-dir", str(tmp_path / "other")]) == 1
    assert "task.loss.class_weights has 1 values for" in capsys.readouterr().err
