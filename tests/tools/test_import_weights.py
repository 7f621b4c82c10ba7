"""Covers runs/importing.py.

import-weights: a published file becomes ours, with a passport, and nothing is overwritten.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import nn
from torchvision.models import mobilenet_v3_small

import pocketvision
from pocketvision.core.weights import read_passport
from pocketvision.tools.eval import main as evaluate
from pocketvision.tools.import_weights import main

CONFIG = "classifier_v3_small_imagenet"


@pytest.fixture
def file(tmp_path: Path, as_trained: Callable[[nn.Module], nn.Module]) -> Path:
    torch.save(as_trained(mobilenet_v3_small(num_classes=3)).state_dict(), tmp_path / "v3.pth")
    return tmp_path / "v3.pth"


def test_a_file_becomes_ours(file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    output = tmp_path / "deep" / "ours.safetensors"
    arguments = [str(file), "--into", CONFIG, "--output", str(output), "--licence", "BSD-3-Clause"]
    assert main([*arguments, "class_names=('cat', 'dog', 'owl')", "model.image_size=(64, 64)"]) == 0
    assert "matched 244 of 244 tensors" in caplog.text
    passport = read_passport(output)
    assert passport["source"] == "v3.pth" and passport["licence"] == "BSD-3-Clause"
    assert passport["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert passport["builder"]["arguments"] == {"image_size": [64, 64]}
    theirs = mobilenet_v3_small(num_classes=3).eval()
    theirs.load_state_dict(torch.load(file, weights_only=True))
    ours, images = pocketvision.load(output), torch.rand(1, 3, 64, 64) * 255
    with torch.no_grad():
        expected = theirs(ours.normalize(images))
        torch.testing.assert_close(
            ours(images) / expected.std(), expected / expected.std(), rtol=1e-4, atol=1e-4
        )

    before = output.read_bytes()
    assert main([*arguments, "class_names=('cat', 'dog', 'owl')"]) == 1 and output.read_bytes() == before


def test_calibration_changes_statistics_but_not_the_output(file: Path, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for i in range(3):
        pixels = np.random.default_rng(i).integers(0, 256, (40, 60, 3), dtype=np.uint8)
        cv2.imwrite(str(tmp_path / "images" / f"{i}.png"), pixels)
    common = [str(file), "--into", CONFIG, "class_names=('a', 'b', 'c')", "model.image_size=(64, 64)"]
    assert main([*common, "--output", str(tmp_path / "plain.safetensors")]) == 0
    calibrated = ["--output", str(tmp_path / "new.safetensors"), "--calibrate", str(tmp_path / "images")]
    assert main([*common, *calibrated]) == 0
    plain, new = (pocketvision.load(tmp_path / f"{name}.safetensors") for name in ("plain", "new"))
    images = torch.rand(1, 3, 64, 64) * 255
    with torch.no_grad():
        torch.testing.assert_close(new(images), plain(images), rtol=1e-4, atol=1e-4)
    mean, other = (model.backbone.stem.norm.running_mean for model in (plain, new))
    assert not torch.allclose(mean, other)
    assert read_passport(tmp_path / "new.safetensors")["calibrated_on"] == "images"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--output", "x.pth"], "would not be a safetensors file"),
        (["--output", "x.safetensors", "--class-ids", "one"], "--class-ids is 'one'"),
        (["--output", "x.safetensors"], "takes its class names from data, and the file has none"),
        (
            ["--output", "x.safetensors", "class_names=('a',)", "--calibrate", "nowhere"],
            "no data folder nowhere",
        ),
    ],
)
def test_bad_input(
    file: Path,
    words: list[str],
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([str(file), "--into", CONFIG, *words]) == 1
    assert sentence in capsys.readouterr().err and not (tmp_path / "x.safetensors").exists()


def test_eval_builds_the_model_as_it_was_imported(
    tmp_path: Path, tiny: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """Padding, normalization and size come from the passport; an override that contradicts it is refused."""
    root = tiny("image_folder")
    model = pocketvision.load(CONFIG, class_names=sorted(p.name for p in (root / "val").iterdir()))
    torch.save(model.state_dict(), tmp_path / "w.pth")
    output = tmp_path / "ours.safetensors"
    given = ["model.padding=same", "model.mean=(0.5,0.5,0.5)", "model.image_size=(64,64)"]
    assert (
        main(
            [str(tmp_path / "w.pth"), "--into", CONFIG, "--output", str(output), f"data.root={root}", *given]
        )
        == 0
    )
    scored = [CONFIG, "--weights", str(output), f"data.root={root}", "data.num_workers=0"]
    assert evaluate([*scored, "--output", str(tmp_path / "scores")]) == 0
    capsys.readouterr()
    assert evaluate([*scored, "model.mean=(0.4,0.4,0.4)", "--output", str(tmp_path / "other")]) == 1
    assert "was trained with mean [0.5, 0.5, 0.5]" in capsys.readouterr().err
