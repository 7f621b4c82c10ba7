"""Covers published/tensorflow/operator_names.py, published/tensorflow/tflite.py.

Models in the forms of the public files of TensorFlow, Keras and Coral are found by the file alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import pocketvision
from pocketvision.configs import (
    classifier_v1_imagenet,
    classifier_v2_imagenet,
    imported_detection,
    imported_segmentation,
)
from pocketvision.core.weights import read_passport
from pocketvision.models import Enlarge, Segmenter
from pocketvision.tools.import_weights import main

INPUTS: dict[str, Any] = {"padding": "same", "mean": (0.5,) * 3, "std": (0.5,) * 3}
V1 = (classifier_v1_imagenet, {"width_mult": 0.25, "image_size": (64, 64), **INPUTS})
V2 = (classifier_v2_imagenet, {"width_mult": 0.35, "image_size": (64, 64), **INPUTS})
ASPP = {"separable_atrous": True, "rates": (6, 12, 18), "image_pooling": False}
DEEPLAB: dict[str, Any] = {"width_mult": 0.25, "image_size": (97, 97), "head_channels": 32}
SSD: dict[str, Any] = {
    "image_size": (96, 96), "extra_channels": (32, 16), "backbone": "v1", "width_mult": 0.25,
    "taps": ("c4", "c5"), "separable_extra": False, "head": "pointwise",
}  # fmt: skip
CASES: dict[str, tuple[Any, Any, str, list[str]]] = {
    "v1 float": (*V1, "float32", ["slim end"]),
    "v1 quantized": (*V1, "uint8", ["fused activations", "slim end"]),
    "v2 keras": (*V2, "float32", ["keras padding", "softmax"]),
    "v2 keras scaling": (*V2, "float32", ["keras padding", "softmax", "scaling"]),
    "v2 keras post-training": (*V2, "int8", ["keras padding", "softmax", "bytes outside"]),
    "v2 keras post-training, floats outside": (*V2, "int8", ["keras padding", "softmax", "floats outside"]),
    "ssd v1 quantized": (imported_detection, SSD, "uint8", ["fused activations"]),
    "deeplab v2": (imported_segmentation, DEEPLAB, "float32", ["labels at the end"]),
    "deeplab v2 scaling": (imported_segmentation, DEEPLAB, "float32", ["scaling", "labels at the end"]),
    "deeplab v2 quantized": (
        imported_segmentation,
        {**DEEPLAB, "output_stride": 8},
        "uint8",
        ["fused activations", "labels at the end"],
    ),
    "deeplab v2 separable": (imported_segmentation, {**DEEPLAB, **ASPP}, "float32", ["labels at the end"]),
}


def names_of(config: Any, *, is_file: bool) -> Sequence[str]:
    names = [f"class {number}" for number in range(5)]
    return ["background", *names] if is_file and config is imported_detection else names


@pytest.mark.parametrize("name", CASES)
def test_public_forms(name: str, tmp_path: Path, write_published: Any, give_form: Any) -> None:
    config, arguments, kind, forms = CASES[name]
    path, output = tmp_path / "model.tflite", tmp_path / "w.safetensors"
    torch.manual_seed(0)
    source = write_published(config.model(names_of(config, is_file=True), **arguments), path, kind)
    give_form(path, forms)
    runs(path)
    assert main([str(path), f"class_names={names_of(config, is_file=False)}", "--output", str(output)]) == 0
    model = pocketvision.load(output)
    assert read_passport(output)["builder"]["config"] == config.__name__.rpartition(".")[2]
    assert repr(model) == repr(config.model(names_of(config, is_file=False), **arguments))
    if "labels at the end" in forms:
        assert isinstance(model, Segmenter)
        source.enlarge = Enlarge("align_corners", ((30, 30),))
        assert model.enlarge == source.enlarge
    if kind == "float32":
        images = torch.rand(2, 3, *model.resize.image_size) * 255
        with torch.no_grad():
            ours, theirs = model.eval()(images), source.eval()(images)
        assert (ours - theirs).norm() <= 1e-4 * theirs.norm()


def runs(path: Path) -> None:
    """TensorFlow's own runtime takes the file, so that the generator's forms are no fictions."""
    runtime = pytest.importorskip("ai_edge_litert.interpreter").Interpreter(str(path))
    runtime.allocate_tensors()
    (image,) = runtime.get_input_details()
    runtime.set_tensor(image["index"], np.zeros(image["shape"], image["dtype"]))
    runtime.invoke()
