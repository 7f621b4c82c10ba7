"""Covers published/integer_runtime.py, published/photographs.py.

An import of a quantized file says how far TensorFlow Lite's own integer arithmetic is from it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from pocketvision.configs import classifier_v1_imagenet, imported_detection, imported_segmentation
from pocketvision.core.weights import read_passport
from pocketvision.published.integer_runtime import integer_agreement
from pocketvision.published.photographs import photograph_like
from pocketvision.tools.import_weights import main

pytest.importorskip("ai_edge_litert.interpreter")

V1: dict[str, Any] = {
    "width_mult": 0.25, "image_size": (64, 64), "padding": "same", "mean": (0.5,) * 3, "std": (0.5,) * 3,
}  # fmt: skip
SSD: dict[str, Any] = {
    "image_size": (96, 96), "extra_channels": (32, 16), "backbone": "v1", "width_mult": 0.25,
    "taps": ("c4", "c5"), "separable_extra": False, "head": "pointwise",
}  # fmt: skip
DEEPLAB: dict[str, Any] = {"width_mult": 0.25, "image_size": (97, 97), "head_channels": 32}
CASES: dict[str, tuple[Any, Any, str, str | None]] = {
    "classifier": (classifier_v1_imagenet, V1, "int8", "% of 8 images"),
    "detector": (imported_detection, SSD, "uint8", None),
    "segmenter": (imported_segmentation, DEEPLAB, "uint8", "% of 49 pixels"),
}


@pytest.mark.parametrize("name", CASES)
def test_the_runtime_of_a_quantized_file(
    name: str, tmp_path: Path, write_published: Any, caplog: pytest.LogCaptureFixture
) -> None:
    config, arguments, kind, unit = CASES[name]
    path, output, names = tmp_path / "model.tflite", tmp_path / "w.safetensors", ("a", "b", "c")
    torch.manual_seed(0)
    theirs = ("background", *names) if config is imported_detection else names
    write_published(config.model(theirs, **arguments), path, kind)
    with caplog.at_level("INFO"):
        assert main([str(path), f"class_names={names}", "--output", str(output)]) == 0
    assert "integer runtime: its last layers are the same to" in caplog.text
    assert unit is None or unit in caplog.text
    found = read_passport(output)["integer_runtime"]
    assert found.keys() == ({"rms"} if unit is None else {"rms", "same_class"})
    assert 0 < found["rms"] < 0.3, "the same numbers but for rounding"


def test_what_is_not_asked(tmp_path: Path, write_published: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.tflite"
    model = classifier_v1_imagenet.model(("a", "b"), **V1)
    write_published(model, path)
    assert integer_agreement(model, path) is None, "it has no integers"
    assert integer_agreement(model, tmp_path / "a.pb") is None
    write_published(model, path, "uint8")
    with monkeypatch.context() as patch:
        patch.setattr("ai_edge_litert.interpreter.Interpreter", broken)
        found = integer_agreement(model, path)
        assert found is not None and found.sentence == "integer runtime: not compared (no such operator)"
        assert not found.facts
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    found = integer_agreement(model, path)
    assert found is not None and "pip install 'pocketvision[litert]'" in found.sentence


def broken(*_: Any, **__: Any) -> None:
    raise RuntimeError("no such operator\nnode 7")


def test_images_like_photographs() -> None:
    model = classifier_v1_imagenet.model(("a", "b"), **V1)
    first, again, other = (photograph_like(model, (64, 96), seed) for seed in (0, 0, 1))
    assert first.shape == (1, 3, 64, 96) and torch.equal(first, again) and not torch.equal(first, other)
    assert first.min() >= -1 and first.max() <= 1, "normalized pixels"
    near, far = ((first - first.roll(step, dims=3)).square().mean() for step in (1, 24))
    assert near < far / 4, "what is near is alike"
