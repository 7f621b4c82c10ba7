"""Covers published/tensorflow/checkpoint_facts.py.

What a checkpoint holds is found by the names and shapes of its variables, without --into.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import pocketvision
from pocketvision.configs import (
    classifier_edgetpu_imagenet,
    classifier_v1_imagenet,
    classifier_v2_imagenet,
    classifier_v3_small_imagenet,
    imported_detection,
    imported_segmentation,
)
from pocketvision.core.weights import read_passport
from pocketvision.published.tensorflow.class_rows import box_rows
from pocketvision.tools.import_weights import main

INPUTS: dict[str, Any] = {"padding": "same", "mean": (0.5,) * 3, "std": (0.5,) * 3}
SSD: dict[str, Any] = {"width_mult": 0.25, "extra_channels": (32, 16)}
SEGMENTER: dict[str, Any] = {"width_mult": 0.25, "head_channels": 32}
CASES: dict[str, tuple[Any, dict[str, Any], str]] = {
    "v1": (classifier_v1_imagenet, {"width_mult": 0.25, **INPUTS}, "SAME padding, images as x / 127.5 - 1"),
    "v2": (classifier_v2_imagenet, {"width_mult": 1.3, **INPUTS}, "SAME padding"),
    "edgetpu": (classifier_edgetpu_imagenet, {"width_mult": 0.25, **INPUTS}, "SAME padding"),
    "v3 minimalistic": (
        classifier_v3_small_imagenet,
        {"width_mult": 0.75, "minimalistic": True, **INPUTS},
        "SAME padding",
    ),
    "ssd v1": (
        imported_detection,
        {**SSD, "backbone": "v1", "taps": ("c4", "c5"), "separable_extra": False, "head": "pointwise"},
        "sigmoid scores, anchors from 0.2 to 0.95",
    ),
    "ssdlite v2": (imported_detection, SSD, "sigmoid scores"),
    "deeplab v2": (imported_segmentation, SEGMENTER, "output stride 16"),
    "deeplab v2 separable": (
        imported_segmentation,
        {**SEGMENTER, "separable_atrous": True, "rates": (6, 12, 18), "image_pooling": False},
        "output stride 16",
    ),
}


def variables_of(model: nn.Module, scope_of: Callable[[str], str]) -> dict[str, Any]:
    """A model's tensors as slim, DeepLab and the Object Detection API call and store them."""
    kinds = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean"}
    kinds["running_var"] = "moving_variance"
    values: dict[str, Any] = {"global_step": np.array(7, np.int64)}
    for name, module in model.named_modules():
        if not isinstance(module, nn.BatchNorm2d | nn.Conv2d | nn.Linear):
            continue
        layer = name.removesuffix(".conv").removesuffix(".norm")
        conv = model.get_submodule(layer)
        conv = getattr(conv, "conv", conv)
        is_depthwise = isinstance(conv, nn.Conv2d) and conv.groups > 1
        scope = scope_of(layer)
        scope = scope if is_depthwise else scope.replace("_16_depthwise", "_16")  # a full extra block
        state = {key: value.numpy() for key, value in module.state_dict().items()}
        if isinstance(module, nn.BatchNorm2d):
            values |= {f"{scope}/BatchNorm/{kind}": state[key] for key, kind in kinds.items()}
        else:
            kernel = state["weight"].reshape(*state["weight"].shape, 1, 1)[..., :1, :1]
            kernel = state["weight"] if state["weight"].ndim == 4 else kernel
            kind, axes = ("depthwise_weights", (2, 3, 0, 1)) if is_depthwise else ("weights", (2, 3, 1, 0))
            values[f"{scope}/{kind}"] = kernel.transpose(axes)
            if module.bias is not None:
                values[f"{scope}/biases"] = state["bias"]
    if "image_pooling/weights" in values:  # TensorFlow's head has this branch first, ours last
        mix, width = values["concat_projection/weights"], values["image_pooling/weights"].shape[3]
        values["concat_projection/weights"] = np.roll(mix, width, axis=2)
    return values


def with_tensorflow_boxes(model: nn.Module) -> nn.Module:
    for name, layer in model.named_modules():
        if "box_blocks" in name and isinstance(layer, nn.Conv2d) and layer.bias is not None:
            rows = box_rows(layer.out_channels)
            layer.weight.data, layer.bias.data = layer.weight.data[rows], layer.bias.data[rows]
    return model


@torch.no_grad()
def outputs_of(model: Any, images: Tensor) -> list[Tensor]:
    output = model.eval()(images)
    return [output] if isinstance(output, Tensor) else [output.class_logits, output.box_deltas]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, Any]], Path]:
    """Gives variables to whoever reads the checkpoint at the path that is returned."""

    def put(values: dict[str, Any]) -> Path:
        monkeypatch.setattr("pocketvision.published.tensorflow.import_file.read_checkpoint", lambda _: values)
        (tmp_path / "model.ckpt.index").write_bytes(b"as above")
        return tmp_path / "model.ckpt.index"

    return put


@pytest.mark.parametrize("name", CASES)
def test_a_checkpoint_says_what_it_is(
    name: str, store: Any, tmp_path: Path, scope_of: Any, as_trained: Any, caplog: pytest.LogCaptureFixture
) -> None:
    config, arguments, assumed = CASES[name]
    names, is_detector = ("a", "b", "c"), config is imported_detection
    torch.manual_seed(0)
    source = as_trained(config.model(("background", *names) if is_detector else names, **arguments))
    for part, module in source.named_modules():  # a checkpoint does not say it: these are TensorFlow's own
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 1e-5 if config is imported_segmentation and part.startswith("head") else 1e-3
    images = torch.rand(1, 3, 97, 97) * 255
    expected = outputs_of(source, images)
    path = store(variables_of(with_tensorflow_boxes(source), scope_of(source)))
    output = tmp_path / "w.safetensors"
    with caplog.at_level("INFO"):
        assert main([str(path), f"class_names={names}", "--output", str(output)]) == 0
    assert assumed in caplog.text and "say so (model.NAME=VALUE) or give --into CONFIG" in caplog.text
    model = pocketvision.load(output)
    assert read_passport(output)["builder"]["config"] == config.__name__.rpartition(".")[2]
    assert repr(model) == repr(config.model(names, **arguments))
    if is_detector:
        expected[0] = expected[0][..., 1:]
    for ours, theirs in zip(outputs_of(model, images), expected, strict=True):
        assert (ours - theirs).norm() <= 1e-4 * theirs.norm()


def test_what_a_checkpoint_leaves_open(
    store: Any, tmp_path: Path, scope_of: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """A value that was said wins over the usual one; other heads and numbers are refused by their names."""
    source = imported_segmentation.model(("a", "b"), **SEGMENTER, rates=(6, 12, 18))
    values, output = variables_of(source, scope_of(source)), tmp_path / "w.safetensors"
    words = [str(store(values)), "class_names=('a','b')", "--output", str(output)]
    assert main([*words, "model.output_stride=8", "model.rates=(12,24,36)"]) == 0
    arguments = read_passport(output)["builder"]["arguments"]
    assert arguments["output_stride"] == 8 and list(arguments["rates"]) == [12, 24, 36]
    output.unlink()

    def said_of(changed: dict[str, Any]) -> str:
        store(changed)
        assert main(words) == 1 and not output.exists()
        return capsys.readouterr().err

    two = {name: value for name, value in values.items() if not name.startswith("aspp3")}
    assert "is a DeepLabv3 with 2 atrous branches, whose rates no checkpoint tells" in said_of(two)
    headless = {name: value for name, value in values.items() if name.startswith("Mobilenet")}
    assert "has a head that is none of a classifier, SSD or DeepLabv3: give --into" in said_of(headless)
    wide = {**values, "MobilenetV2/Conv/weights": np.zeros((3, 3, 3, 11), np.float32)}
    assert "is no MobileNet of a width that is known (a stem of 11 channels" in said_of(wide)
    resnet = {"resnet/conv/weights": np.zeros((7, 7, 3, 64), np.float32)}
    assert "is no MobileNet that is known (it has 0 blocks" in said_of(resnet)
