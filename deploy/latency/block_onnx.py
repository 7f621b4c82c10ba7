"""Small modules as ONNX, node by node, for PyTorch's exporter takes seconds for each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from pocketvision.backbones.blocks import InvertedResidual
from pocketvision.core.files import replacing
from pocketvision.core.layers import ConvNormAct, SameConv2d, SqueezeExcitation
from pocketvision.deploy.export.to_onnx import OPSET
from pocketvision.deploy.packages import optional


def write_block(module: nn.Module, shape: tuple[int, ...], path: Path) -> None:
    """Write an :class:`InvertedResidual` or :class:`ConvNormAct` with folded norms for inputs of ``shape``.

    Nodes are those of PyTorch's exporter, which runtimes fuse as they do those of a whole model.
    """
    writer = _Writer(shape[2:])
    if isinstance(module, InvertedResidual):
        out = writer.block(module, "input0")
    else:
        assert isinstance(module, ConvNormAct)
        out = writer.conv(module, "input0")
    onnx = optional("onnx")
    helper, float32 = onnx.helper, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        writer.nodes,
        "block",
        [helper.make_tensor_value_info("input0", float32, shape)],
        [helper.make_tensor_value_info(out, float32, [None] * 4)],
        writer.values,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
    with replacing(path) as temporary:
        temporary.write_bytes(model.SerializeToString())


class _Writer:
    def __init__(self, size: tuple[int, ...]) -> None:
        self.size = size
        self.nodes: list[Any] = []
        self.values: list[Any] = []
        self.helper = optional("onnx").helper
        self.from_array = optional("onnx").numpy_helper.from_array

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        out = f"t{len(self.nodes)}"
        self.nodes.append(self.helper.make_node(kind, inputs, [out], **attributes))
        return out

    def value(self, array: Any, dtype: type = np.float32) -> str:
        name = f"w{len(self.values)}"
        self.values.append(self.from_array(np.asarray(array, dtype), name))
        return name

    def block(self, block: InvertedResidual, x: str) -> str:
        out = self.conv(block.expand, x) if isinstance(block.expand, ConvNormAct) else x
        if block.until == "expand":
            return out
        out = self.conv(block.depthwise, out)
        if block.until == "depthwise":
            return out
        if isinstance(block.squeeze, SqueezeExcitation):
            out = self.squeeze(block.squeeze, out)
        out = self.conv(block.project, out)
        return self.node("Add", x, out) if block.has_residual else out

    def conv(self, layer: ConvNormAct, x: str) -> str:
        conv = layer.conv
        if isinstance(conv, SameConv2d):
            (top, bottom), (left, right) = (conv.pads(size, axis) for axis, size in enumerate(self.size))
            x = self.node("Pad", x, self.value([0, 0, top, left, 0, 0, bottom, right], np.int64))
        out = self.plain_conv(conv, x)
        kind = type(layer.activation) if hasattr(layer, "activation") else None
        if kind is nn.ReLU6:
            return self.node("Clip", out, self.value(0.0), self.value(6.0))
        names = {nn.ReLU: "Relu", nn.Hardswish: "HardSwish"}
        return out if kind is None else self.node(names[kind], out)

    def plain_conv(self, conv: nn.Conv2d, x: str) -> str:
        inputs = [x, self.value(conv.weight.detach().numpy())]
        inputs += [] if conv.bias is None else [self.value(conv.bias.detach().numpy())]
        padding = [] if isinstance(conv.padding, str) else list(conv.padding)
        return self.node(
            "Conv", *inputs, strides=list(conv.stride), dilations=list(conv.dilation), group=conv.groups,
            pads=[*padding, *padding],
        )  # fmt: skip

    def squeeze(self, layer: SqueezeExcitation, x: str) -> str:
        mean = self.node("ReduceMean", x, self.value([2, 3], np.int64), keepdims=1)
        gate = self.node("Relu", self.plain_conv(layer.reduce, mean))
        gate = self.node("HardSigmoid", self.plain_conv(layer.expand, gate), alpha=1 / 6, beta=0.5)
        return self.node("Mul", x, gate)
