"""The benchmark of runtimes compares exports of the model that it has, not of another that lies there."""

from __future__ import annotations

import runpy
import time
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


OpenAll = Callable[[Detector, Path], dict[str, Any]]


@pytest.fixture(scope="module")
def open_all() -> OpenAll:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        benchmark = runpy.run_path(str(BENCHMARKS / "runtimes.py"))

    def opened(model: Detector, folder: Path) -> dict[str, Any]:
        case = benchmark["Case"](folder, ["onnx", "openvino"], threads=1, rounds=1, clock=time.perf_counter)
        found: dict[str, Any] = benchmark["open_all"](model, "model", case)
        return found

    return opened


def model_of(seed: int) -> Detector:
    torch.manual_seed(seed)
    return ssdlite_v3_small_coco.model(("cat",), image_size=(64, 64)).eval()


@pytest.mark.slow
def test_exports_of_other_weights_are_made_again(open_all: OpenAll, tmp_path: Path) -> None:
    """FOLDER held exports of another image's model: "0 of 124 boxes found"."""
    first, second = model_of(0), model_of(1)
    open_all(first, tmp_path)
    times = {file.name: file.stat().st_mtime_ns for file in tmp_path.iterdir()}
    open_all(first, tmp_path)
    assert {file.name: file.stat().st_mtime_ns for file in tmp_path.iterdir()} == times, "the same: kept"
    runtimes = open_all(second, tmp_path)
    assert len(runtimes) == 3
    for runtime in runtimes.values():
        assert runtime.artifact.weights_sha256 == hash_weights(second)
        images = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
        with torch.inference_mode():
            torch.testing.assert_close(
                runtime(images)["class_logits"], second(images).class_logits, rtol=0, atol=1e-4
            )


def test_a_file_of_another_sort_is_not_written_over(open_all: OpenAll, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_text("mine")
    with pytest.raises(InputError, match=r"model\.onnx"):
        open_all(model_of(0), tmp_path)
    assert (tmp_path / "model.onnx").read_text() == "mine"
