"""A model that does not compute what its file does is refused, with the layer and the cause."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torchvision.models import mobilenet_v2 as their_mobilenet_v2

from pocketvision.backbones import mobilenet_v2
from pocketvision.core.errors import InputError
from pocketvision.core.resize import Resize
from pocketvision.heads import ClassifierHead, DeepLabV3Head
from pocketvision.models import Classifier, Segmenter
from pocketvision.published.divergence import file_normalization, input_values
from pocketvision.published.load import load_weights
from pocketvision.published.parity import measure_parity, refuse_disparity
from pocketvision.published.tensorflow.frozen_graph import read_frozen_graph
from pocketvision.published.tensorflow.graph import FileGraph, Node
from pocketvision.tools.import_weights import main

SIZE = (66, 66)
WEIGHTS = Path(__file__).resolve().parents[3] / "shared" / "weights"
TFLITE = WEIGHTS / "mobilenet_v3_small_1.0_224_uint8.tflite"
PERSON = WEIGHTS / "ssdlite_mobilenet_v2_person_frozen.pb"
IMAGES = torch.randint(0, 256, (1, 3, *SIZE), generator=torch.Generator().manual_seed(0)).float()


def segmenter(output_stride: int) -> Segmenter:
    taps = mobilenet_v2(
        width_mult=0.25, padding="same", out_features=("c5",), output_stride=output_stride, norm_eps=1e-3
    )
    head = partial(DeepLabV3Head, channels=16)
    return Segmenter(taps, head, ("a", "b"), Resize(SIZE), mean=(0.5,) * 3, std=(0.5,) * 3)


@pytest.mark.parametrize(("output_stride", "cause"), [(32, "stride: 2 in the model, 1"), (8, "stride: 1")])
def test_another_output_stride_is_refused(
    output_stride: int, cause: str, tmp_path: Path, write_graph: Any, as_trained: Any
) -> None:
    source, path = as_trained(segmenter(16)), tmp_path / "graph.pb"
    write_graph(source, source.normalize(IMAGES), path)
    model = segmenter(output_stride)
    loaded = load_weights(model, path)
    assert loaded.is_whole
    with pytest.raises(InputError, match=rf"depthwise.conv is the first layer that differs, by its {cause}"):
        refuse_disparity(measure_parity(model, path, loaded.nodes), path)
    right = segmenter(16)
    loaded = load_weights(right, path)
    refuse_disparity(measure_parity(right, path, loaded.nodes), path)


def test_another_dilation_and_activation_are_refused(
    tmp_path: Path, write_graph: Any, as_trained: Any
) -> None:
    source, path = as_trained(segmenter(16)), tmp_path / "graph.pb"
    write_graph(source, source.normalize(IMAGES), path)
    model = segmenter(16)
    nodes = load_weights(model, path).nodes
    model.backbone.blocks[4].expand.activation = torch.nn.Identity()
    with pytest.raises(InputError, match=r"blocks.4.expand.conv is .* activation: none in the model, relu6"):
        refuse_disparity(measure_parity(model, path, nodes), path)
    model = segmenter(16)
    nodes = load_weights(model, path).nodes
    conv: Any = model.backbone.blocks[2].depthwise.conv
    conv.dilation = conv.padding = (2, 2)
    with pytest.raises(InputError, match=r"blocks.2.depthwise.conv is .* dilation: 2 in the model, 1"):
        refuse_disparity(measure_parity(model, path, nodes), path)


@pytest.mark.parametrize("output_stride", [16, 32])
def test_another_last_layer_is_refused(
    output_stride: int, tmp_path: Path, write_graph: Any, as_trained: Any
) -> None:
    """Its weights reach no other layer: its output is compared itself."""
    source, path = as_trained(segmenter(output_stride)), tmp_path / "graph.pb"
    write_graph(source, source.normalize(IMAGES), path)
    model = segmenter(output_stride)
    nodes = load_weights(model, path).nodes
    refuse_disparity(measure_parity(model, path, nodes), path)
    model.head.logits.bias.data[1] += 1  # type: ignore[operator, union-attr]
    with pytest.raises(InputError, match=r"head.logits is the first layer that differs, by its weights"):
        refuse_disparity(measure_parity(model, path, nodes), path)


def test_a_layer_unlike_torchvisions_is_named(tmp_path: Path, as_trained: Any) -> None:
    source: Any = as_trained(their_mobilenet_v2(num_classes=2))
    torch.save(source.state_dict(), tmp_path / "v2.pth")
    model = Classifier(mobilenet_v2(out_features=("last",)), ClassifierHead, ("a", "b"), Resize(SIZE))
    load_weights(model, tmp_path / "v2.pth")
    conv: Any = model.backbone.blocks[3].depthwise.conv
    conv.stride = (1, 1)
    with pytest.raises(InputError, match=r"backbone.blocks.3.depthwise.conv is .* stride: \(1, 1\) in the"):
        refuse_disparity(measure_parity(model, tmp_path / "v2.pth", {}), tmp_path / "v2.pth")


def number(name: str, value: Any) -> Node:
    return Node(name, "Const", read=lambda: torch.tensor(value).numpy())


def assert_half(graph: FileGraph, source: str) -> None:
    mean, std = file_normalization(graph, source) or ((), ())
    assert [*mean, *std] == pytest.approx([0.5] * 6, abs=1e-3)


def test_normalization_of_a_graph() -> None:
    nodes = [
        Node("image", "Placeholder"), number("a", 127.5), number("b", 1.0),
        Node("divide", "RealDiv", ("image", "a")), Node("shift", "Sub", ("divide", "b")),
    ]  # fmt: skip
    assert_half({n.name: n for n in nodes}, "shift")
    assert file_normalization({n.name: n for n in nodes}, "image") is None
    quantized = Node("image", "Placeholder", attributes={"range": (-1.0, 1.0)})
    assert_half({"image": quantized}, "image")
    calibrated = Node("image", "Placeholder", attributes={"range": (-0.98, 0.94)})
    assert_half({"image": calibrated}, "image")


def test_normalization_in_other_forms() -> None:
    """Quantized arithmetic, a padding with the mean pixel, a mean for each channel, images that are 0..1."""
    pixels = Node("image", "Placeholder", attributes={"range": (0.0, 255.0)})
    ends = [
        number("two", 2 / 255), number("one", 1.0), Node("double", "Mul", ("source", "two")),
        Node("cut", "Clamp", ("double",), {"range": (0, 2)}), Node("shift", "Sub", ("cut", "one")),
    ]  # fmt: skip
    padded = [
        number("gray", [127.5] * 3), Node("centered", "Sub", ("image", "gray")), number("sides", 0),
        Node("padded", "Pad", ("centered", "sides")), Node("source", "AddV2", ("padded", "gray")),
    ]  # fmt: skip
    for before in ([Node("source", "Identity", ("image",))], padded):
        assert_half({n.name: n for n in (pixels, *before, *ends)}, "shift")
        graph = {n.name: n for n in (pixels, *before, *ends)}
        given = input_values(graph, "shift", np.array([[-1.0, 0.0, 1.0]]))
        assert given is not None and given.ravel().tolist() == pytest.approx([0, 127.5, 255])
    unit = [Node("image", "Placeholder"), number("two", 2.0), number("one", 1.0)]
    unit += [Node("double", "Mul", ("image", "two")), Node("shift", "Sub", ("double", "one"))]
    assert_half({n.name: n for n in unit}, "shift")
    channels = [
        Node("image", "Placeholder"), number("mean", [123.675, 116.28, 103.53]),
        number("std", [58.395, 57.12, 57.375]), Node("centered", "Sub", ("image", "mean")),
        Node("shift", "RealDiv", ("centered", "std")),
    ]  # fmt: skip
    mean, std = file_normalization({n.name: n for n in channels}, "shift") or ((), ())
    assert [*mean, *std] == pytest.approx([0.485, 0.456, 0.406, 0.229, 0.224, 0.225], abs=1e-6)


@pytest.mark.skipif(not PERSON.is_file(), reason="needs the shared weights")
def test_normalization_of_the_person_detector() -> None:
    graph = read_frozen_graph(PERSON)
    stem = next(node for node in graph.values() if node.op == "Conv2D")
    assert_half(graph, stem.inputs[0])


@pytest.mark.skipif(not TFLITE.is_file(), reason="needs the shared weights")
def test_another_mean_is_refused_and_nothing_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ",".join(f"'{number}'" for number in range(1000))
    words = ["--into", "classifier_v3_small_imagenet", "--output", str(tmp_path / "w.safetensors")]
    assert main([str(TFLITE), *words, f"class_names=({names})", "model.mean=(0.4,0.4,0.4)"]) == 1
    assert "the preprocessing differs before the first layer: mean 0.400" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
