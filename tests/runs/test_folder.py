"""Covers runs/folder.py: run folders whose run.json is broken are refused in a sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pocketvision.core.config import parameters
from pocketvision.core.errors import InputError
from pocketvision.runs.folder import Run, run_of_checkpoint

GOOD: dict[str, Any] = {"config": "config.py", "overrides": ["seed=1"], "class_names": ["cat", None]}


def run_with(folder: Path, text: str) -> Run:
    (folder / "run.json").write_text(text)
    return Run.open(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "1" * 5000, "[" * 100_000, '{"a":' * 100_000, "\0"])
def test_what_is_no_record(text: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"run\.json is (broken|no JSON)"):
        _ = run_with(tmp_path, text).record


@pytest.mark.parametrize("name", list(GOOD))
@pytest.mark.parametrize("value", [None, 3, {"a": 1}, [3], [["deep"]], "../../etc/passwd", "/etc/passwd"])
def test_values_of_other_kinds(name: str, value: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"run\.json is broken \('{name}' is no"):
        _ = run_with(tmp_path, json.dumps({**GOOD, name: value})).record
    with pytest.raises(InputError, match=rf"run\.json is broken \('{name}' is no"):
        _ = run_with(tmp_path, json.dumps({key: GOOD[key] for key in GOOD if key != name})).record


def test_a_good_one(tmp_path: Path) -> None:
    assert run_with(tmp_path, json.dumps(GOOD)).record == GOOD


@pytest.mark.parametrize("word", ["seed=" + "1" * 5000, "seed=" + "(" * 100_000, "seed=" + "-" * 100_000])
def test_overrides_that_python_can_not_read(word: str, tmp_path: Path) -> None:
    """They are taken as text, which is no seed."""
    (tmp_path / "config").mkdir()
    text = "from pocketvision.configs.quickstart import config"
    (tmp_path / "config" / "config.py").write_text(text)
    experiment = run_with(tmp_path, json.dumps({**GOOD, "overrides": [word]})).load()
    assert isinstance(experiment.seed, str)


def run_on(root: str | Path, folder: Path) -> Run:
    """A new run on data in ``root``."""
    config = folder.with_name("config.py")
    config.parent.mkdir(exist_ok=True)
    config.write_text(
        "from functools import partial\n"
        "from pocketvision.configs.ssdlite_v3_small_coco import config as base\n"
        "from dataclasses import replace\n"
        f"config = replace(base, data=partial(base.data, root={str(root)!r}))\n"
    )
    return Run.create(folder, [config], [], ("cat", "owl"), root)


def root_of(run: Run, *overrides: str) -> Path:
    return Path(parameters(run.load(overrides).data)["root"])


def test_a_relative_root_is_found_from_anywhere_and_after_a_move(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, other = tmp_path / "home", tmp_path / "other"
    for place in (home, other):
        (place / "data").mkdir(parents=True)
    monkeypatch.chdir(home)
    run = run_on("data", home / "runs" / "1")
    monkeypatch.chdir(other)
    assert root_of(run) == home / "data", "not the folder of that name which lies here"
    home.rename(tmp_path / "moved")
    moved = Run.open(tmp_path / "moved" / "runs" / "1")
    assert root_of(moved).resolve() == tmp_path / "moved" / "data"
    assert root_of(moved, f"data.root={other}") == other, "what the user says"
    (tmp_path / "moved" / "data").rename(tmp_path / "gone")
    assert root_of(moved) == home / "data", "a sentence names the whole path"
    moved.keep_root(tmp_path / "gone")
    assert root_of(moved) == tmp_path / "gone"


def test_a_run_of_version_0_1_keeps_its_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = run_on("data", tmp_path / "run")
    assert run.record["data_root"] is None, "there is no such folder"
    record = {key: value for key, value in run.record.items() if key != "data_root"}
    (run.folder / "run.json").write_text(json.dumps(record))
    assert root_of(run) == Path("data")


def test_other_classes_are_refused(tmp_path: Path) -> None:
    run = run_on(tmp_path, tmp_path / "run")
    assert run.load(["class_names=('cat','owl')"]).class_names == ("cat", "owl")
    with pytest.raises(InputError, match="has learned cat, owl, and class_names can't be changed"):
        run.load(["class_names=('cat',)"])


def test_the_run_of_a_checkpoint(tmp_path: Path) -> None:
    run = run_on(tmp_path, tmp_path / "run")
    checkpoint = run.folder / "checkpoints" / "best.ckpt"
    checkpoint.parent.mkdir()
    checkpoint.touch()
    assert run_of_checkpoint(checkpoint) == run.folder
    assert run_of_checkpoint(run.folder / "checkpoints" / "none.ckpt") is None
    (tmp_path / "alone.pth").touch()
    assert run_of_checkpoint(tmp_path / "alone.pth") is None
