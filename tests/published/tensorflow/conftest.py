"""Does to a graph of ours what TensorFlow's converter does: writes TFLite files in all precisions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import flatbuffers
import numpy as np
import pytest
import torch
from flatbuffers import flexbuffers
from torch import Tensor

from pocketvision.published.tensorflow.graph import FileGraph, Node, constant, skip_copies

try:
    from ai_edge_litert import schema_py_generated as schema
except ImportError:  # TFLite files can't be written then
    schema = None

OPERATORS = {
    "Conv2D": "CONV_2D", "DepthwiseConv2dNative": "DEPTHWISE_CONV_2D", "MatMul": "FULLY_CONNECTED",
    "AddV2": "ADD", "Mul": "MUL", "Relu": "RELU", "Relu6": "RELU6", "Sigmoid": "LOGISTIC", "Mean": "MEAN",
    "ConcatV2": "CONCATENATION", "ResizeBilinear": "RESIZE_BILINEAR", "DEQUANTIZE": "DEQUANTIZE",
    "AvgPool": "AVERAGE_POOL_2D", "Pad": "PAD", "Reshape": "RESHAPE", "Softmax": "SOFTMAX",
    "CUSTOM": "CUSTOM",
}  # fmt: skip
OPTIONS = {
    "Conv2D": "Conv2DOptions", "DepthwiseConv2dNative": "DepthwiseConv2DOptions",
    "MatMul": "FullyConnectedOptions", "AvgPool": "Pool2DOptions", "ResizeBilinear": "ResizeBilinearOptions",
    "ConcatV2": "ConcatenationOptions", "Softmax": "SoftmaxOptions", "Mean": "ReducerOptions",
}  # fmt: skip
STORED = {"float32": np.float32, "float16": np.float16, "uint8": np.uint8, "int8": np.int8}


class Converter:
    """Does to a graph what TensorFlow's converter does: folds BatchNorms, fuses activations, quantizes.

    uint8 is the old kind: one scale a tensor, and no ReLU6 but outputs that can hold 0..6 only. int8 has
    a scale for each channel of a kernel, activations are fused.
    """

    def __init__(self, graph: FileGraph, values: Mapping[str, Tensor], kind: str) -> None:
        self.graph, self.values, self.kind = graph, values, kind
        self.is_quantised = kind in ("uint8", "int8")
        self.model, self.subgraph = schema.ModelT(), schema.SubGraphT()
        self.model.version, self.model.subgraphs = 3, [self.subgraph]
        self.model.buffers, self.model.operatorCodes = [schema.BufferT()], []
        self.subgraph.tensors, self.subgraph.operators = [], []
        self.uses = Counter(skip(graph, source) for node in graph.values() for source in node.inputs)
        self.tensors: dict[str, int] = {}
        self.scales: dict[str, float] = {}

    def convert(self, detection: Any = None) -> bytes:
        done: set[str] = set()
        for node in self.graph.values():
            if node.op == "Placeholder":
                self.subgraph.inputs = [self.activation(node.name, node.name)]
            elif node.op in ("Conv2D", "DepthwiseConv2dNative", "MatMul"):
                done |= self.layer(node)
            elif node.name not in done and node.op in OPERATORS:
                parts = node.inputs[:-1] if node.op == "ConcatV2" else node.inputs  # the axis is an option
                sources = [self.source(name) for name in parts]
                self.operator(node.op, sources, self.activation(node.name, node.name), node)
        if detection is not None:
            self.detections(*detection)
        self.subgraph.outputs = list(self.subgraph.operators[-1].outputs)
        builder = flatbuffers.Builder()
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def detections(
        self, classes: list[str], boxes: list[str], width: int, score: str, anchors: Any, options: Any
    ) -> None:
        """Scores and boxes of all maps one after another, and what chooses among them."""
        joined = []
        for part, names, each in (("classes", classes, width), ("boxes", boxes, 4)):
            values, flat = [self.values[n].permute(0, 2, 3, 1).reshape(1, -1, each) for n in names], []
            for name, value in zip(names, values, strict=True):
                self.values[f"{name} flat"] = value
                flat.append(self.activation(f"{name} flat", f"{name} flat"))
                size = self.tensor(f"{name} shape", (3,), np.int32(value.shape))
                self.operator("Reshape", [self.tensors[name], size], flat[-1])
            self.values[part] = torch.cat(values, dim=1)
            joined.append(self.activation(part, part))
            self.operator("ConcatV2", flat, joined[-1], Node("", "ConcatV2", attributes={"axis": 1}))
        self.values["scores"] = self.values["classes"].sigmoid()
        scores = self.activation("scores", "scores")
        self.operator(score, joined[:1], scores)
        if self.is_quantised:  # the only range that the runtime takes
            found = self.subgraph.tensors[scores].quantization
            found.scale, found.zeroPoint = [1 / 256], [-128 if self.kind == "int8" else 0]
        if options:
            value, scale, zero = np.float32(anchors), None, None
            if self.kind == "uint8":  # which the operator reads like this only
                scale, zero = np.array([anchors.max() / 255]), np.array([0])
                value = np.round(anchors / scale).astype(np.uint8)
            parts = [joined[1], scores, self.tensor("anchors", anchors.shape, value, scale, zero)]
            outputs = [self.tensor("found", shape) for shape in ((1, 100, 4), (1, 100), (1, 100), (1,))]
            self.operator("CUSTOM", parts, outputs[0])
            self.subgraph.operators[-1].outputs = outputs
            self.model.operatorCodes[-1].customCode = "TFLite_Detection_PostProcess"
            self.subgraph.operators[-1].customOptions = np.frombuffer(flexbuffers.Dumps(options), np.uint8)

    def source(self, name: str) -> int:
        name = skip(self.graph, name)
        if name not in self.tensors:
            value = np.asarray(constant(self.graph, name))
            self.tensors[name] = self.tensor(name, value.shape, value)
        return self.tensors[name]

    def layer(self, node: Node) -> set[str]:
        """A layer with what follows it; the names of the nodes that went into it."""
        kernel, bias, last, activation, used = (
            np.array(constant(self.graph, node.inputs[1])),
            None,
            node,
            0,
            set(),
        )
        while self.uses[last.name] == 1:
            following = next(n for n in self.graph.values() if last.name in n.inputs)
            others = [np.array(v) for s in following.inputs[1:] if (v := constant(self.graph, s)) is not None]
            if following.op == "BiasAdd":
                bias = others[0]
            elif following.op.startswith("FusedBatchNorm"):
                gamma, beta, mean, variance = others
                scale = gamma / np.sqrt(variance + following.attributes["epsilon"])
                is_depthwise = node.op.startswith("Depthwise")
                kernel = kernel * (scale[:, None] if is_depthwise else scale)
                bias = beta + ((0 if bias is None else bias) - mean) * scale
            elif following.op in ("Relu", "Relu6"):
                activation = {"Relu": 1, "Relu6": 3}[following.op]
            else:
                break
            used.add(following.name)
            last = following
            if activation:
                break
        axes = {"Conv2D": (3, 0, 1, 2), "DepthwiseConv2dNative": (3, 0, 1, 2), "MatMul": (1, 0)}[node.op]
        if node.op == "DepthwiseConv2dNative":
            kernel = kernel.transpose(0, 1, 3, 2)
            kernel = kernel.reshape(*kernel.shape[:2], 1, -1).transpose(2, 0, 1, 3)
        else:
            kernel = kernel.transpose(axes)
        x = self.source(node.inputs[0])
        parts = [x, *self.weights(node, kernel, np.zeros(1) if bias is None else bias)]
        is_old = self.kind == "uint8"
        output = self.activation(last.name, last.name, limit=6.0 if activation == 3 and is_old else None)
        self.operator(node.op, parts, output, node, 0 if is_old else activation)
        return used

    def weights(self, node: Node, kernel: Any, bias: Any) -> list[int]:
        axis = 3 if node.op.startswith("Depthwise") else 0
        if not self.is_quantised:
            return [self.stored(f"{node.name}/kernel", kernel), self.stored(f"{node.name}/bias", bias)]
        scale_in = self.scales[skip(self.graph, node.inputs[0])]
        if self.kind == "int8":
            scale = np.abs(kernel).max(axis=tuple(i for i in range(kernel.ndim) if i != axis)) / 127
            zero, shape = np.zeros(len(scale), int), [-1 if i == axis else 1 for i in range(kernel.ndim)]
        else:
            low, high = min(kernel.min(), 0), max(kernel.max(), 0)
            scale, shape = np.array([(high - low) / 255]), [1]
            zero = np.round(-low / scale).astype(int)
        limits = np.iinfo(STORED[self.kind])
        whole = np.round(kernel / scale.reshape(shape)) + zero.reshape(shape)
        values = np.clip(whole, limits.min, limits.max).astype(STORED[self.kind])
        first = self.tensor(f"{node.name}/kernel", kernel.shape, values, scale, zero, axis)
        steps = np.round(bias / (scale * scale_in)).astype(np.int32)
        return [first, self.tensor(f"{node.name}/bias", bias.shape, steps, scale * scale_in, zero * 0)]

    def stored(self, name: str, value: Any) -> int:
        if self.kind == "float32":
            return self.tensor(name, value.shape, np.float32(value))
        half = self.tensor(name, value.shape, np.float16(value))
        real = self.tensor(f"{name}/real", value.shape)
        self.operator("DEQUANTIZE", [half], real)
        return real

    def activation(self, key: str, name: str, limit: float | None = None) -> int:
        value = self.values[name]
        shape = tuple(value.permute(0, 2, 3, 1).shape) if value.ndim == 4 else tuple(value.shape)
        scale = zero = None
        if self.is_quantised:
            low, high = min(value.min().item(), 0), max(value.max().item(), 0)
            low, high = (0.0, limit) if limit is not None else (low, high)
            scale = np.array([max(high - low, 1e-6) / 255])
            zero = np.round(-low / scale).astype(int) - (128 if self.kind == "int8" else 0)
            self.scales[key] = float(scale[0])
        self.tensors[key] = self.tensor(name, shape, None, scale, zero, dtype=self.kind)
        return self.tensors[key]

    def tensor(
        self, name: str, shape: Any, value: Any = None, scale: Any = None, zero: Any = None, axis: int = 0,
        dtype: str = "float32",
    ) -> int:  # fmt: skip
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.buffer = name, [int(side) for side in shape], 0
        dtype = "float32" if dtype == "float16" else dtype
        tensor.type = getattr(schema.TensorType, (value.dtype.name if value is not None else dtype).upper())
        if value is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(value).tobytes(), np.uint8)
            self.model.buffers.append(buffer)
            tensor.buffer = len(self.model.buffers) - 1
        if scale is not None:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale, tensor.quantization.zeroPoint = scale.tolist(), zero.tolist()
            tensor.quantization.quantizedDimension = axis
        self.subgraph.tensors.append(tensor)
        return len(self.subgraph.tensors) - 1

    def operator(
        self, op: str, inputs: list[int], output: int, node: Node | None = None, activation: int = 0
    ) -> None:
        code, operator = schema.OperatorCodeT(), schema.OperatorT()
        code.builtinCode = code.deprecatedBuiltinCode = getattr(schema.BuiltinOperator, OPERATORS[op])
        self.model.operatorCodes.append(code)
        operator.opcodeIndex = len(self.model.operatorCodes) - 1
        operator.inputs, operator.outputs = inputs, [output]
        if node is not None and (kind := OPTIONS.get(node.op)):
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
            options = operator.builtinOptions = getattr(schema, f"{kind}T")()
            if hasattr(options, "fusedActivationFunction"):
                options.fusedActivationFunction = activation
            if "strides" in node.attributes:
                options.strideH, options.strideW = node.attributes["strides"][1:3]
                options.padding = getattr(schema.Padding, node.attributes["padding"])
            if "dilations" in node.attributes:
                options.dilationHFactor = options.dilationWFactor = node.attributes["dilations"][1]
            if "ksize" in node.attributes:
                options.filterHeight, options.filterWidth = node.attributes["ksize"][1:3]
            if kind == "ReducerOptions":
                options.keepDims = True
            if kind == "ConcatenationOptions":
                options.axis = node.attributes.get("axis", 3)
            if kind == "ResizeBilinearOptions":
                options.alignCorners = bool(node.attributes["align_corners"])
                options.halfPixelCenters = bool(node.attributes.get("half_pixel_centers"))
        self.subgraph.operators.append(operator)


def skip(graph: FileGraph, name: str) -> str:
    return getattr(skip_copies(graph, name), "name", name)


@pytest.fixture
def convert_graph() -> Callable[..., bytes]:
    """``convert_graph(graph, values, kind, detection=None)``: the bytes of a TFLite file; ``detection`` are
    the nodes that end class and box branches, scores' width and operator, anchors and options."""
    return lambda graph, values, kind, detection=None: Converter(graph, values, kind).convert(detection)
