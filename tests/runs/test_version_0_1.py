"""Covers runs/build.py, runs/folder.py.

Run folders and weights files of version 0.1 (commit 0f06f12) open as they did.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pocketvision.core.weights import read_passport
from pocketvision.evaluation.evaluate_run import score
from pocketvision.runs.build import build
from pocketvision.runs.folder import Run
from pocketvision.runs.ready_model import load_model

RUNS = Path(__file__).parent / "version_0_1"
"""Written by ``train quickstart`` and ``quickstart_segmentation`` at width 0.1, and by ``train --data``."""


@pytest.fixture(params=["quickstart", "quickstart_segmentation"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return Path(shutil.copytree(RUNS / request.param, tmp_path / request.param))


def test_a_run_scores_as_it_did(run: Path, tmp_path: Path) -> None:
    metrics, folder = score(run, (), None, None, tmp_path / "scored")
    before = json.loads((run / "metrics.json").read_text())
    assert metrics.keys() == before.keys() and (folder / "report.html").is_file()
    # Intervals are computed in another way since 0.2 (evaluation/bootstrap.py).
    numbers = {key for key, value in before.items() if isinstance(value, float) and "_ci_" not in key}
    numbers.remove("seconds")
    assert len(numbers) > 1
    # Another processor may order scores that are nearly equal in another way.
    assert {key: metrics[key] for key in numbers} == pytest.approx(
        {key: before[key] for key in numbers}, abs=2e-3
    )


def test_weights_build_their_model(run: Path) -> None:
    from_file, from_run = load_model(run / "weights.safetensors"), load_model(run)
    assert from_file.passport() == from_run.passport()
    assert list(from_file.class_names) == read_passport(run / "weights.safetensors")["class_names"]
    state = from_run.state_dict()
    assert all(value.equal(state[key]) for key, value in from_file.state_dict().items())


def test_a_config_for_own_data(tiny: Callable[[str], Path]) -> None:
    experiment = Run.open(RUNS / "own").load([f"data.root={str(tiny('coco'))!r}"])
    model, data = build(experiment, pretrained=False)
    assert list(model.class_names) == ["cat", "owl"]
    assert len(data.records("train")) == 4 and data.batch_size == 2
