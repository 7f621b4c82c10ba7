"""Covers published/tensorflow/known_backbones.py, published/tensorflow/trunk.py, published/architecture.py.

Files of MobileNetEdgeTPU, whose first blocks are fused, are found by the file alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import pocketvision
from pocketvision.configs import classifier_edgetpu_imagenet, classifier_v2_imagenet
from pocketvision.core.errors import InputError
from pocketvision.core.weights import read_passport
from pocketvision.published.architecture import EDGETPU, V1, family_of, family_of_layers, refuse_other_family
from pocketvision.tools.import_weights import main

NAMES = ("a", "b", "c", "d", "e")
INPUTS: dict[str, Any] = {"padding": "same", "mean": (0.5,) * 3, "std": (0.5,) * 3, "image_size": (64, 64)}


@pytest.mark.parametrize(
    ("width_mult", "suffix", "kind"),
    [(0.75, ".pb", "float32"), (0.25, ".tflite", "float32"), (0.25, ".tflite", "int8")],
)
def test_a_classifier(
    width_mult: float, suffix: str, kind: str, tmp_path: Path, write_published: Any
) -> None:
    path, output = tmp_path / f"model{suffix}", tmp_path / "w.safetensors"
    torch.manual_seed(0)
    arguments = {"width_mult": width_mult, **INPUTS}
    source = write_published(classifier_edgetpu_imagenet.model(NAMES, **arguments), path, kind)
    assert main([str(path), f"class_names={NAMES}", "--output", str(output)]) == 0
    builder = read_passport(output)["builder"]
    assert builder["config"] == "classifier_edgetpu_imagenet"
    assert builder["arguments"]["width_mult"] == width_mult
    model: Any = pocketvision.load(output)
    assert repr(model) == repr(source)
    if kind == "float32":
        images = torch.rand(1, 3, 64, 64) * 255
        with torch.no_grad():
            torch.testing.assert_close(model.eval()(images), source(images), atol=1e-3, rtol=1e-3)


def test_it_is_not_taken_for_v1() -> None:
    """Which has as many depthwise layers."""
    model = classifier_edgetpu_imagenet.model(NAMES, width_mult=0.25)
    assert family_of(model.state_dict()) == EDGETPU
    names = [f"MobilenetEdgeTPU/expanded_conv_{number}/depthwise" for number in range(9, 22)]
    assert family_of_layers(names) == EDGETPU
    assert family_of_layers(f"MobilenetV1/Conv2d_{number}_depthwise" for number in range(1, 14)) == V1
    refuse_other_family(model, EDGETPU, Path("a"))
    with pytest.raises(InputError, match="a is a MobileNetV1, this model a MobileNetEdgeTPU"):
        refuse_other_family(model, V1, Path("a"))
    other = classifier_v2_imagenet.model(NAMES, width_mult=0.25)
    with pytest.raises(InputError, match="choose --model classifier_edgetpu or a config"):
        refuse_other_family(other, EDGETPU, Path("a"))
