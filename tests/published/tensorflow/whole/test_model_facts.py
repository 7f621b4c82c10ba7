"""Covers published/tensorflow/boxes_facts.py, published/tensorflow/detector_facts.py,
published/tensorflow/known_backbones.py, published/tensorflow/label_file.py,
published/tensorflow/model_facts.py, published/tensorflow/segmenter_facts.py, published/tensorflow/trunk.py.

Models of every family, written as TensorFlow would publish them, are found by the file alone.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.compat.proto.graph_pb2 import GraphDef

import pocketvision
from pocketvision.configs import (
    classifier_v1_imagenet,
    classifier_v2_imagenet,
    classifier_v3_large_imagenet,
    classifier_v3_small_imagenet,
    imported_detection,
    imported_segmentation,
)
from pocketvision.core.weights import read_passport
from pocketvision.published.recognize import recognize
from pocketvision.published.tensorflow.label_file import read_labels
from pocketvision.tools.import_weights import main

HALF = (0.5, 0.5, 0.5)
INPUTS: dict[str, Any] = {"padding": "same", "mean": HALF, "std": HALF}
SSD: dict[str, Any] = {"image_size": (96, 96), "extra_channels": (32, 16)}
SEGMENTER: dict[str, Any] = {"image_size": (97, 97), "head_channels": 32}
V2_TAPS, V1_TAPS = ("c4_expand", "last"), ("c4", "c5")

CASES: dict[str, tuple[Any, dict[str, Any], str]] = {
    "v1 .25": (classifier_v1_imagenet, {"width_mult": 0.25, "image_size": (96, 96), **INPUTS}, ".pb"),
    "v1 .5 tflite": (
        classifier_v1_imagenet,
        {"width_mult": 0.5, "image_size": (64, 64), **INPUTS},
        ".tflite",
    ),
    "v2 1.4": (classifier_v2_imagenet, {"width_mult": 1.4, "image_size": (64, 64), **INPUTS}, ".pb"),
    "v2 .35 torch's padding": (
        classifier_v2_imagenet,
        {**INPUTS, "width_mult": 0.35, "image_size": (64, 64), "padding": "torch"},
        ".pb",
    ),
    "v2 another mean": (
        classifier_v2_imagenet,
        {**INPUTS, "width_mult": 0.35, "image_size": (64, 64), "mean": (0.0,) * 3, "std": (1.0,) * 3},
        ".pb",
    ),
    "v3 small": (
        classifier_v3_small_imagenet,
        {"width_mult": 0.75, "image_size": (64, 64), **INPUTS},
        ".tflite",
    ),
    "v3 large minimalistic": (
        classifier_v3_large_imagenet,
        {"width_mult": 0.5, "minimalistic": True, "image_size": (64, 64), **INPUTS},
        ".pb",
    ),
    "ssd v1": (
        imported_detection,
        {
            **SSD,
            "backbone": "v1",
            "width_mult": 0.25,
            "taps": V1_TAPS,
            "separable_extra": False,
            "head": "pointwise",
        },
        ".pb",
    ),
    "ssd v2 full": (
        imported_detection,
        {**SSD, "width_mult": 0.25, "separable_extra": False, "head": "full", "score_function": "softmax"},
        ".tflite",
    ),
    "ssdlite v2": (
        imported_detection,
        {**SSD, "width_mult": 0.35, "reduce_lowest": False, "scales": (0.15, 0.9)},
        ".pb",
    ),
    "ssdlite v2 scaled": (imported_detection, {**SSD, "width_mult": 0.5, "scale_last": True}, ".tflite"),
    "ssdlite v3": (
        imported_detection,
        {**SSD, "backbone": "v3_small", "width_mult": 0.5, "reduced_tail": "detection"},
        ".pb",
    ),
    "ssdlite v3 minimalistic, own anchors": (
        imported_detection,
        {
            **SSD,
            "backbone": "v3_large",
            "width_mult": 0.25,
            "minimalistic": True,
            "anchor_shapes": (((0.1, 0.2),), ((0.3, 0.3), (0.5, 0.4)), ((0.6, 0.6),), ((0.9, 0.8),)),
        },
        ".tflite",
    ),
    "deeplabv3 v2": (imported_segmentation, {**SEGMENTER, "width_mult": 0.5}, ".pb"),
    "deeplabv3 v2 aspp": (
        imported_segmentation,
        {**SEGMENTER, "width_mult": 0.25, "rates": (12, 24, 36), "output_stride": 8},
        ".tflite",
    ),
    "deeplabv3 v2 separable": (
        imported_segmentation,
        {**SEGMENTER, "width_mult": 0.25, "rates": (6, 12, 18), "separable_atrous": True},
        ".pb",
    ),
    "deeplabv3 v2 without pooling": (
        imported_segmentation,
        {**SEGMENTER, "width_mult": 0.35, "image_pooling": False},
        ".tflite",
    ),
    "raspp v3": (
        imported_segmentation,
        {**SEGMENTER, "backbone": "v3_small", "width_mult": 0.5, "high": "last", "output_stride": 32},
        ".pb",
    ),
    "lraspp v3": (
        imported_segmentation,
        {
            **SEGMENTER,
            "backbone": "v3_large",
            "width_mult": 0.25,
            "reduced_tail": "segmentation",
            "head": "lraspp",
            "high": "last",
            "sampling": "align_corners",
            "last_resize": "align_corners",
        },
        ".pb",
    ),
    "lraspp v2, two windows": (
        imported_segmentation,
        {
            **SEGMENTER,
            "width_mult": 0.25,
            "head": "lraspp",
            "low": ("c3_depthwise", "c2_depthwise"),
            "pool_size": 5,
            "pool_stride": (2, 2),
        },
        ".tflite",
    ),
}


def outputs_of(model: Any, images: torch.Tensor) -> list[torch.Tensor]:
    with torch.no_grad():
        output = model.eval()(images)
    return [output] if isinstance(output, torch.Tensor) else [output.class_logits, output.box_deltas]


@pytest.mark.parametrize("name", CASES)
def test_a_file_says_what_it_is(name: str, tmp_path: Path, write_published: Any) -> None:
    config, arguments, suffix = CASES[name]
    path, output = tmp_path / f"model{suffix}", tmp_path / "w.safetensors"
    names = ("a", "b", "c", "d", "e")
    torch.manual_seed(0)
    has_background = config is imported_detection and arguments.get("score_function") != "softmax"
    theirs = ("background", *names) if has_background else names  # TensorFlow's always have one
    source = write_published(config.model(theirs, **arguments), path)
    assert main([str(path), f"class_names={names}", "--output", str(output)]) == 0
    builder = read_passport(output)["builder"]
    assert builder["config"] == config.__name__.rpartition(".")[2]
    model = pocketvision.load(output)
    assert repr(model) == repr(config.model(names, **arguments)), "the same architecture"
    assert model.passport() == config.model(names, **arguments).passport()
    images = torch.rand(1, 3, *model.resize.image_size, generator=torch.Generator().manual_seed(1)) * 255
    expected = outputs_of(source, images)
    if has_background:
        expected[0] = expected[0][..., 1:]
    for ours, other in zip(outputs_of(model, images), expected, strict=True):
        assert (ours - other).norm() <= 1e-4 * other.norm()


def test_images_of_any_size_have_that_of_the_pooling(tmp_path: Path, write_published: Any) -> None:
    """DeepLab's frozen graphs: the placeholder takes all sizes, and resizes of constant size follow."""
    path, arguments = tmp_path / "deeplab.pb", {**SEGMENTER, "width_mult": 0.25}
    write_published(imported_segmentation.model(("a", "b"), **arguments), path)
    graph = GraphDef.FromString(path.read_bytes())
    nodes = {node.name: node for node in graph.node}
    for side in nodes["image_tensor"].attr["shape"].shape.dim[1:3]:
        side.size = -1
    (mean,) = (node for node in graph.node if node.op == "Mean")
    mean.op = "AvgPool"
    del mean.input[1:]
    mean.attr["ksize"].list.i[:], mean.attr["strides"].list.i[:] = [1, 7, 7, 1], [1, 1, 1, 1]
    mean.attr["padding"].s = b"VALID"
    path.write_bytes(graph.SerializeToString())
    found = recognize(path)
    assert found.arguments["image_size"] == (97, 97) and found.config == "imported_segmentation"


QUANTIZED = {"v1 .5 tflite": "uint8", "ssdlite v2 scaled": "int8", "deeplabv3 v2 aspp": "float16"}


@pytest.mark.parametrize("name", QUANTIZED)
def test_rounded_files_too(name: str, tmp_path: Path, write_published: Any) -> None:
    config, arguments, suffix = CASES[name]
    path, output, names = tmp_path / f"model{suffix}", tmp_path / "w.safetensors", ("a", "b", "c")
    theirs = ("background", *names) if config is imported_detection else names
    write_published(config.model(theirs, **arguments), path, QUANTIZED[name])
    assert main([str(path), f"class_names={names}", "--output", str(output)]) == 0
    assert repr(pocketvision.load(output)) == repr(config.model(names, **arguments))


WRONG = {
    "model.mean=(0.4,0.4,0.4)": "the preprocessing differs before the first layer: mean 0.400",
    "model.output_stride=8": "depthwise.conv is the first layer that differs, by its stride: 1 in the model",
    "model.dilation_rule=torchvision": "depthwise.conv is the first layer that differs, by its dilation: 2",
    "model.head_channels=16": "has a kernel",
    "model.width_mult=0.5": "has a kernel",
    "model.rates=(6,12,18)": "has a kernel",
}


@pytest.fixture(scope="module")
def rounded_deeplab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("rounded") / "deeplab.tflite"


@pytest.mark.parametrize("word", WRONG)
def test_a_wrong_pairing_is_refused(
    word: str, tmp_path: Path, rounded_deeplab: Path, write_published: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """A quantized DeepLabv3 that was written though it was 110 % off, in short."""
    right = {**SEGMENTER, "width_mult": 0.25}
    if not rounded_deeplab.exists():
        write_published(imported_segmentation.model(("a", "b", "c"), **right), rounded_deeplab, "uint8")
    words = [f"model.{key}={value}" for key, value in right.items() if not word.startswith(f"model.{key}=")]
    into = ["--into", "imported_segmentation", "class_names=('a','b','c')", *words]
    output = tmp_path / "w.safetensors"
    assert main([str(rounded_deeplab), *into, word, "--output", str(output)]) == 1
    assert WRONG[word] in capsys.readouterr().err and not output.exists()
    assert main([str(rounded_deeplab), *into, "--output", str(output)]) == (0 if len(words) == 3 else 1)


def test_what_is_no_mobilenet_is_refused_by_its_operator(
    tmp_path: Path, write_published: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    path, output = tmp_path / "v1.pb", tmp_path / "w.safetensors"
    source = classifier_v1_imagenet.model(("a", "b"), width_mult=0.25, image_size=(64, 64), **INPUTS)
    write_published(source, path)
    whole = GraphDef.FromString(path.read_bytes())
    words = [str(path), "class_names=('a','b')", "--output", str(output)]

    def said_of(graph: GraphDef) -> str:
        path.write_bytes(graph.SerializeToString())
        assert main(words) == 1 and not output.exists()
        return capsys.readouterr().err

    other = GraphDef.FromString(whole.SerializeToString())
    for node in other.node:
        node.op = "Elu" if node.op == "Relu6" else node.op
    assert "no layer can be compared, the others come after Elu" in said_of(other)
    other = GraphDef.FromString(whole.SerializeToString())
    depthwise = [node for node in other.node if node.op.startswith("Depthwise")]
    depthwise[5].attr["strides"].list.i[:] = [1, 3, 3, 1]
    said = said_of(other)
    assert "is no model that is known" in said and f"{depthwise[5].name} has stride 3 and dilation 1" in said


def test_names_from_the_label_file(tmp_path: Path) -> None:
    path = tmp_path / "a.tflite"
    path.write_bytes(b"    TFL3 and more")
    assert read_labels(path) is None
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("labels.txt", "???\ncat\r\ndog\n\n")
    assert read_labels(path) == (None, "cat", "dog")
    assert read_labels(tmp_path / "a.pb") is None
