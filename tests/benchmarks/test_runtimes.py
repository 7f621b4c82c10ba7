"""The benchmark of runtimes compares exports of the model that it has, not of another that lies there."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from pocketvision.configs import ssdlite_v3_small_coco
from pocketvision.core.errors import InputError
from pocketvision.deploy.runtimes.described import hash_weights
from pocketvision.models import Detector

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def open_all() -> Callable[..., dict[str, Any]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        found: Callable[..., dict[str, Any]] = runpy.run_path(str(BENCHMARKS / "runtimes.py"))["open_all"]
    return found


def model_of(seed: int) -> Detector:
    torch.manual_seed(seed)
    return ssdlite_v3_small_coco.model(("cat",), image_size=(64, 64)).eval()


@pytest.mark.slow
def test_exports_of_other_weights_are_made_again(
    open_all: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    """FOLDER held exports of another image's model: "0 of 124 boxes found"."""
    first, second = model_of(0), model_of(1)
    open_all(first, "model", tmp_path, 1)
    times = {file.name: file.stat().st_mtime_ns for file in tmp_path.iterdir()}
    open_all(first, "model", tmp_path, 1)
    assert {file.name: file.stat().st_mtime_ns for file in tmp_path.iterdir()} == times, "the same: kept"
    runtimes = open_all(second, "model", tmp_path, 1)
    assert len(runtimes) == 3
    for runtime in runtimes.values():
        assert runtime.artifact.weights_sha256 == hash_weights(second)
        images = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
        with torch.inference_mode():
            torch.testing.assert_close(
                runtime(images)["class_logits"], second(images).class_logits, rtol=0, atol=1e-4
            )


def test_a_file_of_another_sort_is_not_written_over(
    open_all: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    (tmp_path / "model.onnx").write_text("mine")
    with pytest.raises(InputError, match=r"model\.onnx"):
        open_all(model_of(0), "model", tmp_path, 1)
    assert (tmp_path / "model.onnx").read_text() == "mine"
