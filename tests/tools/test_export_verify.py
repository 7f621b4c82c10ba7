"""Covers deploy/certificate/measured.py, tools/export.py.

``export --verify``: a certificate beside the file, and the exit code.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import onnx
import pytest
import torch
from torch import nn

from pocketvision.configs.quickstart import config, model
from pocketvision.core.weights import save_weights
from pocketvision.deploy.export import to_file as export
from pocketvision.runs.passport import make_passport
from pocketvision.tools.export import main
from pocketvision.tools.train import main as train

NAMES = ("cat", "owl")
AsTrained = Callable[[nn.Module], nn.Module]
Tiny = Callable[[str], Path]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory, as_trained: AsTrained) -> Path:
    experiment = replace(config, model=partial(model, image_size=(64, 64), width_mult=0.35))
    torch.manual_seed(0)
    detector = experiment.model(NAMES)
    for block in as_trained(detector).head.class_blocks:  # type: ignore[union-attr]
        block[1].weight.data *= 60  # so that scores differ
    path = tmp_path_factory.mktemp("weights") / "w.safetensors"
    save_weights(path, detector, make_passport(detector, experiment, licence="CC-BY-4.0"))
    return path


@pytest.fixture(scope="module")
def good(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file, exported once."""
    path = tmp_path_factory.mktemp("good") / "good.onnx"
    assert main([str(weights), "--format", "onnx", "--nms", "--output", str(path)]) == 0
    return path


@pytest.fixture
def exporting(good: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """``exporting(factor)``: exports give ``good`` with its head's class weights times ``factor``."""

    def replaced(factor: float) -> None:
        def write(built: object, format: str, output: Path, options: object, converters: object) -> Path:
            graph = onnx.load(str(good))
            for item in graph.graph.initializer:
                if item.name.startswith("head.class_blocks"):
                    values = onnx.numpy_helper.to_array(item) * factor
                    item.CopyFrom(onnx.numpy_helper.from_array(values.astype("float32"), item.name))
            onnx.save(graph, str(output))
            return output

        monkeypatch.setattr(export, "export_model", write)

    return replaced


def command(weights: Path, output: Path, data: Path) -> list[str]:
    arguments = ["--format", "onnx", "--nms", "--output", str(output), "--verify", str(data)]
    return [str(weights), *arguments]


def test_a_certificate_beside_the_file(
    weights: Path,
    exporting: Callable[[float], None],
    tiny: Tiny,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    exporting(1.0)
    output = tmp_path / "m.onnx"
    assert main(command(weights, output, tiny("coco"))) == 0
    page = tmp_path / "m.certificate.html"
    assert f"m.onnx says what PyTorch says on 4 images. Certificate: {page}" in capsys.readouterr().out
    content = json.loads((tmp_path / "m.certificate.json").read_text())
    assert content["passed"] is True and content["metric"] == "AP" and content["kind"] == "float32"
    assert content["images"]["with_truth"] and abs(content["scores"]["change"]) <= 1e-3
    assert "m.onnx" in page.read_text() and output.is_file()


def test_over_tolerance_is_an_error_and_the_file_stays(
    weights: Path,
    exporting: Callable[[float], None],
    tiny: Tiny,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    exporting(1.2)
    output = tmp_path / "m.onnx"
    assert main(command(weights, output, tiny("coco") / "val")) == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: m.onnx is over tolerance on 4 images: head differs by")
    assert "the first stage that differs is head" in error
    content = json.loads((tmp_path / "m.certificate.json").read_text())
    assert content["passed"] is False and content["first_divergence"] == "head"
    assert content["scores"] == {"torch": None, "artifact": None, "change": None} and output.is_file()
    assert 'class="bad"' in (tmp_path / "m.certificate.html").read_text()


def test_without_images_nothing_is_exported(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    assert main(command(weights, tmp_path / "m.onnx", tmp_path / "empty")) == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ") and "holds no images" in error
    assert not list(tmp_path.glob("m.*"))


@pytest.mark.slow
def test_a_run_reads_its_own_data_as_in_training(
    tiny: Tiny, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The masks hold a value that only the run knows to be void."""
    run, root = tmp_path / "run", tiny("masks")
    small = ["data.batch_size=2", "data.num_workers=0", "model.image_size=(64,64)", "model.weights=None"]
    words = [*small, "data.augmentation.crop_size=(64,64)", "trainer.max_steps=1"]
    assert train(["lraspp_v2_camvid", f"data.root={root}", *words, "--run-dir", str(run)]) == 0
    output = tmp_path / "m.pt2"
    command = [str(run), "--format", "pt2", "--output", str(output), "--verify", str(root)]
    assert main(command) == 0, capsys.readouterr().err
    content = json.loads((tmp_path / "m.certificate.json").read_text())
    assert content["scores"]["torch"] is not None and content["images"]["with_truth"]
