"""A run that goes on says what has changed since it began."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pocketvision.core.errors import InputError
from pocketvision.datasets import CityscapesDataModule, CocoDataModule
from pocketvision.runs.folder import Run
from pocketvision.tasks.fingerprint import (
    FILE,
    accept_settings,
    check_fingerprint,
    describe_split,
    write_fingerprint,
)
from pocketvision.tools.train import main as train

CONFIG = "ssdlite_v3_small_coco"


@pytest.fixture
def root(tiny: Callable[[str], Path], tmp_path: Path) -> Path:
    """A data set that may be changed."""
    shutil.copytree(tiny("coco"), tmp_path / "coco")
    return tmp_path / "coco"


@pytest.fixture
def run(root: Path, tmp_path: Path) -> Run:
    config = tmp_path / "config.py"
    config.write_text("seed = 1\n")
    run = Run.create(tmp_path / "run", [config], ["data.batch_size=2"], ("cat", "owl"))
    write_fingerprint(run, CocoDataModule(root))
    return run


def change_annotations(root: Path, change: Callable[[dict[str, list[dict[str, object]]]], object]) -> None:
    file = root / "instances_train.json"
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def test_nothing_is_said_of_what_is_the_same(
    run: Run, root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "pocketvision"):
        check_fingerprint(run, CocoDataModule(root), allow_changed_data=False)
        there = root.rename(tmp_path / "elsewhere")
        check_fingerprint(run, CocoDataModule(there), allow_changed_data=False)
    assert not caplog.text


CHANGES: dict[str, tuple[Callable[[dict[str, list[dict[str, object]]]], object], str]] = {
    "an image": (lambda content: content["images"].pop(2), "train has 3 images instead of 4"),
    "a box": (lambda content: content["annotations"].pop(), "train has 3 boxes instead of 4"),
    "a moved box": (lambda content: content["annotations"][0].update(bbox=[1, 2, 3, 4]), "other annotations"),
    "a label": (lambda content: content["annotations"][0].update(category_id=90), "other annotations"),
    "a class": (lambda content: content["categories"][0].update(name="dog"), "other classes"),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_changed_annotations(kind: str, run: Run, root: Path, caplog: pytest.LogCaptureFixture) -> None:
    change, sentence = CHANGES[kind]
    change_annotations(root, change)
    with pytest.raises(InputError, match=rf"{sentence}.*--allow-changed-data"):
        check_fingerprint(run, CocoDataModule(root), allow_changed_data=False)
    with caplog.at_level(logging.WARNING, "pocketvision"):
        check_fingerprint(run, CocoDataModule(root), allow_changed_data=True)
    assert sentence in caplog.text
    check_fingerprint(run, CocoDataModule(root), allow_changed_data=False)  # it is what it goes on with now


def test_changed_pictures_and_masks(
    run: Run, root: Path, tiny: Callable[[str], Path], tmp_path: Path
) -> None:
    with (root / "val" / "1.jpg").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(InputError, match="val has files of other sizes"):
        check_fingerprint(run, CocoDataModule(root), allow_changed_data=False)
    masks = tmp_path / "masks"
    shutil.copytree(tiny("cityscapes"), masks)
    before = describe_split(CityscapesDataModule(masks).records("val"))
    with next(masks.glob("gtFine/val/*/*labelIds.png")).open("ab") as file:
        file.write(b"\0")
    now = describe_split(CityscapesDataModule(masks).records("val"))
    assert {name for name in now if now[name] != before[name]} == {"sizes"}


def test_an_edited_config_and_overrides(run: Run, root: Path, caplog: pytest.LogCaptureFixture) -> None:
    (run.folder / "config" / "config.py").write_text("seed = 2\n")
    run.add_overrides(["seed=3"])
    with caplog.at_level(logging.WARNING, "pocketvision"):
        check_fingerprint(run, CocoDataModule(root), allow_changed_data=False)
    assert "The config of" in caplog.text and "training goes on with data.batch_size=2 seed=3" in caplog.text


def test_what_a_recovery_changes_is_no_edit(run: Run, root: Path, caplog: pytest.LogCaptureFixture) -> None:
    run.add_overrides(["data.batch_size=1"])
    accept_settings(run)
    with caplog.at_level(logging.WARNING, "pocketvision"):
        check_fingerprint(run, CocoDataModule(root), allow_changed_data=False)
    assert not caplog.text
    (run.folder / FILE).unlink()  # of version 0.1
    accept_settings(run)
    assert not (run.folder / FILE).exists()


@pytest.mark.parametrize("text", ["{", "[1]", "{}", "[" * 100_000, "1" * 5000])
def test_a_broken_fingerprint_is_said(
    text: str, run: Run, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (run.folder / FILE).write_text(text)
    with caplog.at_level(logging.WARNING, "pocketvision"):
        check_fingerprint(run, CocoDataModule(root), allow_changed_data=False)
    assert "what has changed is not known" in caplog.text


def test_the_command_line(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "trained"
    words = [f"data.root={root}", "data.batch_size=2", "data.num_workers=0", "model.width_mult=0.35"]
    words += ["model.image_size=(64,64)", "trainer.max_steps=3"]
    assert train([CONFIG, *words, "--run-dir", str(run)]) == 0
    (run / "metrics.json").unlink()
    change_annotations(root, CHANGES["an image"][0])
    assert train(["--resume", str(run)]) == 1
    assert "train has 3 images instead of 4" in capsys.readouterr().err
    assert train(["--resume", str(run), "--allow-changed-data"]) == 0
    assert train([CONFIG, "--allow-changed-data"]) == 1
    assert "goes with --resume" in capsys.readouterr().err
