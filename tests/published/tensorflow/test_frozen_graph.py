"""Covers published/tensorflow/graph_layers.py, published/tensorflow/layers.py.

Frozen graphs that the tests write: values, arithmetic around layers, and files that are broken.
"""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tensorboard.compat.proto.graph_pb2 import GraphDef

from pocketvision.core.errors import InputError
from pocketvision.published.tensorflow.frozen_graph import read_frozen_graph
from pocketvision.published.tensorflow.graph import constant
from pocketvision.published.tensorflow.graph_layers import find_layers
from pocketvision.published.tensorflow.layers import Layer

RANDOM = np.random.default_rng(0)
TYPES = {"float32": 1, "float64": 2, "int32": 3, "uint8": 4, "int64": 9, "bool": 10, "float16": 19}


class Writer:
    def __init__(self) -> None:
        self.graph = GraphDef()

    def node(self, name: str, op: str, *inputs: str, **attributes: Any) -> str:
        node = self.graph.node.add(name=name, op=op, input=inputs)
        for key, value in attributes.items():
            if isinstance(value, list):
                node.attr[key].list.i.extend(value)
            elif isinstance(value, bytes):
                node.attr[key].s = value
            else:
                node.attr[key].f = value
        return name

    def constant(self, name: str, value: Any, shape: Any = None, field: str = "") -> str:
        value = np.asarray(value)
        tensor = self.graph.node.add(name=name, op="Const").attr["value"].tensor
        tensor.dtype = TYPES[value.dtype.name]
        for size in value.shape if shape is None else shape:
            tensor.tensor_shape.dim.add(size=size)
        if field:
            getattr(tensor, field).extend(value.reshape(-1).tolist())
        else:
            tensor.tensor_content = value.tobytes()
        return name

    def convolution(self, name: str, x: str, channels: int, **attributes: Any) -> str:
        kernel = self.constant(f"{name}/weights", draw(3, 3, 2, channels))
        attributes = {"strides": [1, 1, 1, 1], "padding": b"SAME", **attributes}
        return self.node(f"{name}/Conv2D", "Conv2D", x, kernel, **attributes)

    def layers(self, path: Path) -> list[Layer]:
        return find_layers(self.read(path))

    def read(self, path: Path) -> Any:
        path.write_bytes(self.graph.SerializeToString())
        return read_frozen_graph(path)


def draw(*shape: int) -> Any:
    return RANDOM.uniform(0.5, 1.5, shape).astype(np.float32)


def test_constants_of_every_kind(tmp_path: Path) -> None:
    writer = Writer()
    values = {name: RANDOM.integers(0, 2, (2, 3)).astype(name) for name in TYPES}
    for name, value in values.items():
        writer.constant(name, value)
    writer.constant("listed", np.float32([1, 2]), field="float_val")
    halves = writer.graph.node.add(name="halves", op="Const").attr["value"].tensor
    halves.dtype, halves.half_val[:] = 19, [0x3C00, 0x4000]
    halves.tensor_shape.dim.add(size=2)
    graph = writer.read(tmp_path / "a.pb")
    for name, value in values.items():
        read = constant(graph, name)
        assert read is not None and read.dtype == value.dtype and (read == value).all()
    assert [constant(graph, name).tolist() for name in ("listed", "halves")] == [[1, 2], [1, 2]]  # type: ignore[union-attr]


def test_a_value_stored_once_is_not_spread_out(tmp_path: Path) -> None:
    writer = Writer()
    writer.constant("fill", np.float32([7]), shape=(1 << 20, 1 << 20), field="float_val")
    writer.node("sum", "Add", "fill", "fill")
    graph = writer.read(tmp_path / "a.pb")
    tracemalloc.start()
    value = constant(graph, "fill")
    assert value is not None and value.shape == (1 << 20, 1 << 20) and value[3, 5] == 7
    assert constant(graph, "sum") is None, "arithmetic on it would need a terabyte"
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it holds no operation"),
        (b"\x0a\xff\xff\xff\xff\x0f", "or is broken"),
        (b"\x89PNG and so on", "or is broken"),
        (None, "There is no frozen graph"),
    ],
)
def test_files_that_are_no_graph(content: bytes | None, message: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "a.pb").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_frozen_graph(tmp_path / "a.pb")


def test_truncated_files(tmp_path: Path) -> None:
    writer = Writer()
    writer.convolution("conv", "input", 4)
    whole = writer.graph.SerializeToString()
    for size in range(1, len(whole), 7):
        (tmp_path / "a.pb").write_bytes(whole[:size])
        try:
            assert isinstance(find_layers(read_frozen_graph(tmp_path / "a.pb")), list)
        except InputError as error:
            assert "\n" not in str(error)


@pytest.mark.parametrize("shape", [(2, 5), (-2, -3), (1 << 40, 1 << 40)])
def test_a_shape_that_its_values_do_not_fill(shape: tuple[int, int], tmp_path: Path) -> None:
    writer = Writer()
    writer.constant("weights", draw(2, 3), shape=shape)
    with pytest.raises(InputError, match=r"constant weights has shape .* but 6 values"):
        constant(writer.read(tmp_path / "a.pb"), "weights")


def test_graphs_that_run_in_circles(tmp_path: Path) -> None:
    writer = Writer()
    writer.node("a", "Identity", "b")
    writer.node("b", "Identity", "a")
    writer.node("c", "Add", "c", "a")
    writer.convolution("conv", "c", 4)
    graph = writer.read(tmp_path / "a.pb")
    assert constant(graph, "a") is None and constant(graph, "c") is None
    assert find_layers(graph)[0].links.inputs == frozenset()  # type: ignore[union-attr]


def test_batch_norm_as_arithmetic_is_recognised(tmp_path: Path) -> None:
    """As TensorFlow writes it where it is not fused, in old detectors for example."""
    writer = Writer()
    gamma, beta, mean, variance = (draw(4) for _ in range(4))
    x = writer.convolution("S", "input", 4)
    for name, value in (("gamma", gamma), ("beta", beta), ("mean", mean), ("variance", variance)):
        writer.node(name, "Identity", writer.constant(f"{name}_stored", value))
    writer.constant("eps", np.float32(0.001))
    writer.node("root", "Rsqrt", writer.node("sum", "Add", "variance", "eps"))
    writer.node("scale", "Mul", "root", "gamma")
    writer.node("shift", "Sub", "beta", writer.node("product", "Mul", "mean", "scale"))
    writer.node("out", "Relu6", writer.node("add_1", "Add", writer.node("mul_1", "Mul", x, "scale"), "shift"))
    (layer,) = writer.layers(tmp_path / "a.pb")
    norm = layer.norm
    assert norm is not None and norm.eps == pytest.approx(0.001) and layer.bias is None
    for ours, theirs in zip(
        (norm.gamma, norm.beta, norm.mean, norm.variance), (gamma, beta, mean, variance), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)
    assert layer.clamp == (0, 6)


def test_other_arithmetic_is_folded_and_a_hard_sigmoid_left_alone(tmp_path: Path) -> None:
    writer = Writer()
    x = writer.convolution("S", "input", 4)
    scale, shift = draw(4), draw(1, 1, 1, 4)
    x = writer.node("mul", "Mul", x, writer.constant("scale", scale))
    x = writer.node("add", "AddV2", x, writer.constant("shift", shift))
    x = writer.node("three", "AddV2", x, writer.constant("3", np.float32(3)))
    x = writer.node("gate", "Mul", writer.node("relu6", "Relu6", x), writer.constant("6", np.float32(1 / 6)))
    (layer,) = writer.layers(tmp_path / "a.pb")
    kernel = np.frombuffer(writer.graph.node[0].attr["value"].tensor.tensor_content, np.float32)
    np.testing.assert_allclose(
        layer.kernel, kernel.reshape(3, 3, 2, 4).transpose(3, 2, 0, 1) * scale[:, None, None, None]
    )
    np.testing.assert_allclose(layer.bias, shift.reshape(-1))  # type: ignore[arg-type]
    assert layer.clamp is None and layer.norm is None


def test_dilation_padding_and_pooling_around_a_layer(tmp_path: Path) -> None:
    writer = Writer()
    block = writer.constant("block", np.int32([3, 3]))
    writer.node("space", "SpaceToBatchND", "input", block)
    x = writer.convolution("dilated", "space", 4, padding=b"VALID")
    x = writer.node("batch", "BatchToSpaceND", x, block)
    values = [writer.constant(f"v{i}", draw(4)) for i in range(4)]
    x = writer.node("norm", "FusedBatchNorm", x, *values, epsilon=0.01)
    writer.node("size", "Shape", x)
    pads = {"both": [[0, 0], [1, 1], [1, 1], [0, 0]], "end": [[0, 0], [0, 1], [0, 1], [0, 0]]}
    for name, value in pads.items():
        padded = writer.node(f"pad_{name}", "Pad", x, writer.constant(f"pads_{name}", np.int32(value)))
        writer.convolution(name, padded, 4, strides=[1, 2, 2, 1], padding=b"VALID")
    pooled = writer.node("pool", "Mean", x, writer.constant("axes", np.int32([1, 2])))
    writer.convolution("after", writer.node("reshape", "Reshape", pooled, "size"), 4)
    dilated, both, end, after = writer.layers(tmp_path / "a.pb")
    assert dilated.norm is not None and dilated.links is not None and dilated.links.dilation == 3
    assert [layer.links.padding for layer in (both, end, after) if layer.links] == ["torch", "same", None]
    assert after.links is not None and after.links.is_pooled and after.links.inputs == {0}


def test_a_training_graph_is_refused(tmp_path: Path) -> None:
    writer = Writer()
    x = writer.convolution("S", "input", 4)
    values = [writer.node(f"v{i}", "VariableV2") for i in range(4)]
    writer.node("norm", "FusedBatchNorm", x, *values)
    with pytest.raises(InputError, match="norm has no constant statistics"):
        writer.layers(tmp_path / "a.pb")
