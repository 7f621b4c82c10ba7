"""The command ``export``: from a weights file, a run or a config to a file that runs."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from pocketvision.configs.quickstart import config, model
from pocketvision.core.weights import save_weights
from pocketvision.deploy.runtimes.opening import open_runtime
from pocketvision.runs.passport import make_passport
from pocketvision.tools.export import main

NAMES = ("disc", "star")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weights file that says how to build its model."""
    experiment = replace(config, model=partial(model, image_size=(64, 64), width_mult=0.35))
    detector = experiment.model(NAMES)
    path = tmp_path_factory.mktemp("weights") / "w.safetensors"
    save_weights(path, detector, make_passport(detector, experiment, licence="CC-BY-4.0"))
    return path


def test_exports_a_weights_file(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    output = tmp_path / "out" / "m.pt2"
    caplog.set_level("INFO", "pocketvision")
    assert main([str(weights), "--format", "pt2", "--batch", "2", "--output", str(output)]) == 0
    assert f"exported: {output}" in capsys.readouterr().out
    assert "MB" in caplog.text and " s" in caplog.text
    artifact = open_runtime(output).artifact
    assert artifact.class_names == NAMES and artifact.batch == 2 and artifact.image_size == (64, 64)
    assert artifact.licence == "CC-BY-4.0" and artifact.source == str(weights)
    outputs = open_runtime(output)(torch.zeros(3, 3, 64, 64, dtype=torch.uint8))
    assert list(outputs) == ["class_logits", "box_deltas"] and len(outputs["box_deltas"]) == 3
    assert main([str(weights), "--format", "pt2", "--output", str(output)]) == 1
    assert f"{output} exists already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["quickstart", "--format", "onnx", "--output", "m.onnx"], "give its weights with --weights FILE"),
        (["no/such/run", "--format", "onnx", "--output", "m.onnx"], "no run folder no/such/run"),
        (["quickstar", "--format", "onnx", "--output", "m.onnx"], "Did you mean 'quickstart'"),
        (["no.safetensors", "--format", "onnx", "--output", "m.onnx"], "no weights file no.safetensors"),
        (["quickstart", "--weights", "w", "--format", "coreml", "--output", "m"], "name it with .mlpackage"),
        (["quickstart", "--weights", "w", "--format", "onnx", "--output", "m.pt"], "name it with .onnx"),
        (["quickstart", "--weights", "w", "--format", "onnx", "--output", "m.onnx", "--batch", "x"], "'x'"),
        (["quickstart", "--weights", "w", "--format", "onnx", "--output", "m.onnx", "--batch", "0"], "is 0"),
        (["quickstart", "--weights", "w", "--format", "pt2", "--output", "m.pt2", "--client"], "no client"),
    ],
)  # fmt: skip
def test_bad_input_is_one_sentence(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert sentence in error and error.startswith("error: ") and len(error.strip().splitlines()) == 1
