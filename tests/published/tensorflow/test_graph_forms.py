"""Covers published/tensorflow/graph_layers.py.

The same model as different exporters of TensorFlow leave it in a graph.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tensorboard.compat.proto.graph_pb2 import GraphDef

from pocketvision.backbones import mobilenet_v2
from pocketvision.core.resize import Resize
from pocketvision.heads import DeepLabV3Head
from pocketvision.models import Segmenter
from pocketvision.published.tensorflow.frozen_graph import _node
from pocketvision.published.tensorflow.graph import constant
from pocketvision.published.tensorflow.import_file import import_tensorflow

SIZE = (66, 66)
IMAGES = torch.randint(0, 256, (2, 3, *SIZE), generator=torch.Generator().manual_seed(0)).float()


def segmenter() -> Segmenter:
    """DeepLabv3 with atrous branches and image pooling, dilated in backbone and head."""
    backbone = mobilenet_v2(
        width_mult=0.25, out_features=("c5",), output_stride=8, padding="same", norm_eps=1e-3
    )
    return Segmenter(backbone, partial(DeepLabV3Head, form="aspp", channels=16), "abcde", Resize(SIZE))


def store(graph: GraphDef, name: str, value: Any) -> str:
    tensor = graph.node.add(name=name, op="Const").attr["value"].tensor
    tensor.dtype, tensor.tensor_content = {"float32": 1, "int32": 3}[value.dtype.name], value.tobytes()
    for size in value.shape:
        tensor.tensor_shape.dim.add(size=size)
    return name


def readers(graph: GraphDef, name: str) -> list[Any]:
    return [node for node in graph.node if name in node.input]


def with_space_to_batch(graph: GraphDef) -> int:
    """Dilation as slim wrote it before operations knew it: rearrange, convolve, rearrange back."""
    dilated = [n for n in graph.node if "dilations" in n.attr and max(n.attr["dilations"].list.i) > 1]
    for node in dilated:
        rate = max(node.attr["dilations"].list.i)
        block = store(graph, f"{node.name}/block", np.array([rate, rate], np.int32))
        pads = store(graph, f"{node.name}/pads", np.full((2, 2), rate, np.int32))
        after = readers(graph, node.name)
        space = graph.node.add(
            name=f"{node.name}/space", op="SpaceToBatchND", input=[node.input[0], block, pads]
        )
        batch = graph.node.add(name=f"{node.name}/batch", op="BatchToSpaceND", input=[node.name, block, pads])
        node.input[0], node.attr["padding"].s = space.name, b"VALID"
        del node.attr["dilations"]
        for reader in after:
            reader.input[list(reader.input).index(node.name)] = batch.name
    return len(dilated)


def with_folded_norms(graph: GraphDef) -> int:
    """BatchNorm multiplied into the kernel when the graph runs, and a bias: as ``fold_batch_norms`` does."""
    values = {node.name: _node(node, Path("graph.pb")) for node in graph.node}
    norms = [node for node in graph.node if node.op.startswith("FusedBatchNorm")]
    for node in norms:
        gamma, beta, mean, variance = (np.asarray(constant(values, name)) for name in node.input[1:])
        scale = gamma / np.sqrt(variance + node.attr["epsilon"].f)
        conv = next(other for other in graph.node if other.name == node.input[0])
        factor = store(graph, f"{node.name}/factor", np.float32(scale))
        if conv.op.startswith("Depthwise"):
            shape = store(graph, f"{node.name}/scale_shape", np.array([len(scale), 1], np.int32))
            name = f"{node.name}/scale_reshape"
            factor = graph.node.add(name=name, op="Reshape", input=[factor, shape]).name
        kernel = graph.node.add(name=f"{node.name}/folded", op="Mul", input=[conv.input[1], factor])
        conv.input[1] = kernel.name
        shift = store(graph, f"{node.name}/shift", np.float32(beta - mean * scale))
        x = node.input[0]
        del node.input[:]
        node.input.extend([x, shift])
        node.op = "BiasAdd"
    return len(norms)


def with_copies(graph: GraphDef) -> int:
    """Variables that are read, checked and copied on the way, as the second TensorFlow's functions do."""
    reads = [node for node in graph.node if node.op == "Identity"]
    for node in reads:
        after = readers(graph, node.name)
        node.op = "ReadVariableOp"
        graph.node.add(name=f"{node.name}/copy", op="Identity", input=[f"{node.name}:0", "^input"])
        checked = graph.node.add(name=f"{node.name}/check", op="CheckNumerics", input=[f"{node.name}/copy"])
        for reader in after:
            reader.input[list(reader.input).index(node.name)] = checked.name
    return len(reads)


@torch.no_grad()
@pytest.mark.parametrize("change", [with_space_to_batch, with_folded_norms, with_copies])
def test_a_graph_in_another_form(
    change: Callable[[GraphDef], int], tmp_path: Path, write_graph: Any, as_trained: Any
) -> None:
    torch.manual_seed(0)
    source, model, path = as_trained(segmenter()), segmenter().eval(), tmp_path / "a.pb"
    graph = write_graph(source, source.normalize(IMAGES), path)
    assert change(graph) > 5
    path.write_bytes(graph.SerializeToString())
    imported = import_tensorflow(model, path)
    assert not imported.report.unused and imported.facts["padding"] == "same"
    assert imported.facts["is_norm_folded"] == (change is with_folded_norms)
    scale = source(IMAGES).std()
    torch.testing.assert_close(model(IMAGES) / scale, source(IMAGES) / scale, rtol=1e-3, atol=1e-3)
