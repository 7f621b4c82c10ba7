"""Covers published/tensorflow/frozen_graph.py, published/tensorflow/checkpoint.py,
published/tensorflow/tflite.py.

TensorFlow files made to harm, or damaged: a sentence that names the file, at once and without memory.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tensorboard.compat.proto.graph_pb2 import GraphDef

from pocketvision.backbones import mobilenet_v1
from pocketvision.core.errors import InputError
from pocketvision.core.resize import Resize
from pocketvision.heads import ClassifierHead
from pocketvision.models import Classifier
from pocketvision.published.tensorflow.frozen_graph import read_frozen_graph
from pocketvision.published.tensorflow.graph import constant
from pocketvision.published.tensorflow.import_file import import_tensorflow, read_layers


def classifier() -> Classifier:
    backbone = mobilenet_v1(width_mult=0.01, out_features=("c5",), padding="same", norm_eps=1e-3)
    return Classifier(backbone, lambda **sizes: ClassifierHead(feature="c5", **sizes), "ab", Resize((32, 32)))


@pytest.fixture
def no_time_and_no_memory() -> Iterator[None]:
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    yield
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # kB
    assert time.process_time() - start < 5


class Writer:
    def __init__(self) -> None:
        self.graph = GraphDef()

    def node(self, name: str, op: str, *inputs: str) -> str:
        self.graph.node.add(name=name, op=op, input=inputs)
        return name

    def fill(self, name: str, *shape: int) -> str:
        """A constant of one value in any shape: 50 bytes."""
        tensor = self.graph.node.add(name=name, op="Const").attr["value"].tensor
        tensor.dtype = 1
        tensor.float_val.append(0.5)
        for size in shape:
            tensor.tensor_shape.dim.add(size=size)
        return name

    def save(self, path: Path) -> Path:
        path.write_bytes(self.graph.SerializeToString())
        return path


@pytest.mark.usefixtures("no_time_and_no_memory")
@pytest.mark.parametrize("shape", [(1 << 40, 1 << 20, 3, 3), (3, 3, 4096, 4096), (3, 3, 1024, 1024)])
def test_a_small_graph_that_claims_huge_kernels(shape: tuple[int, ...], tmp_path: Path) -> None:
    writer = Writer()
    for i in range(200):
        kernel = writer.node(f"m{i}", "Mul", writer.fill(f"k{i}", *shape), writer.fill(f"s{i}"))
        writer.node(f"c{i}", "Conv2D", "x", writer.fill(f"w{i}", *shape) if i % 2 else kernel)
    path = writer.save(tmp_path / "a.pb")
    assert path.stat().st_size < 50_000
    with pytest.raises(InputError, match=r"a\.pb.*(kernel|convolution|is broken)"):
        read_layers(path)


@pytest.mark.usefixtures("no_time_and_no_memory")
@pytest.mark.parametrize("size", [1, 1000, 1 << 20])
def test_arithmetic_that_doubles_with_every_node(size: int, tmp_path: Path) -> None:
    writer = Writer()
    name = writer.fill("x0", size)
    for i in range(1, 50):
        name = writer.node(f"x{i}", "Add", name, name)
    graph = read_frozen_graph(writer.save(tmp_path / "a.pb"))
    assert constant(graph, "x1") is not None and constant(graph, name) is None


@pytest.mark.parametrize("kind", ["strides", "padding", "epsilon", "transpose_b", "dilations"])
def test_attributes_that_are_something_else(kind: str, tmp_path: Path, write_graph: Any) -> None:
    path = tmp_path / "a.pb"
    graph = write_graph(classifier(), torch.zeros(1, 3, 32, 32), path)
    for node in graph.node:
        if node.op in ("Conv2D", "DepthwiseConv2dNative", "MatMul", "FusedBatchNormV3"):
            node.attr[kind].s = b"\xff\xfe"
    path.write_bytes(graph.SerializeToString())
    try:
        import_tensorflow(classifier(), path)
    except InputError as error:
        assert str(path) in str(error) and "\n" not in str(error)


def test_damaged_graphs(tmp_path: Path, write_graph: Any) -> None:
    path, model = tmp_path / "a.pb", classifier()
    write_graph(classifier(), torch.zeros(1, 3, 32, 32), path)
    whole, num_refused = path.read_bytes(), 0
    random = np.random.default_rng(0)
    for position in random.choice(len(whole), 25, replace=False):
        for damaged in (
            whole[:position],
            whole[:position] + bytes([whole[position] ^ 0x5A]) + whole[position + 1 :],
        ):
            path.write_bytes(damaged)
            try:
                import_tensorflow(model, path)
            except InputError as error:
                num_refused += 1
                assert str(path) in str(error) and "\n" not in str(error)
    assert num_refused > 25
