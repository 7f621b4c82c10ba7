"""Covers runs/folder.py: run folders whose run.json is broken are refused in a sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pocketvision.core.errors import InputError
from pocketvision.runs.folder import Run

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
