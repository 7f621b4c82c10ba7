"""Covers published/tensorflow/tflite.py: whole models as TFLite files in all precisions, and back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pocketvision.backbones import mobilenet_v1, mobilenet_v2, mobilenet_v3_small
from pocketvision.core.resize import Resize
from pocketvision.heads import ClassifierHead, DeepLabV3Head
from pocketvision.models import Classifier, Segmenter
from pocketvision.published.tensorflow.frozen_graph import read_frozen_graph
from pocketvision.published.tensorflow.graph import FileGraph, Node, constant, skip_copies
from pocketvision.published.tensorflow.import_file import import_tensorflow

schema: Any = pytest.importorskip("ai_edge_litert.schema_py_generated")

SIZE = (66, 66)
_COARSE = torch.rand(16, 3, 6, 6, generator=torch.Generator().manual_seed(0)) * 255
IMAGES = torch.nn.functional.interpolate(_COARSE, SIZE, mode="bicubic").clamp(0, 255)
OPERATORS = {
    "Conv2D": "CONV_2D", "DepthwiseConv2dNative": "DEPTHWISE_CONV_2D", "MatMul": "FULLY_CONNECTED",
    "AddV2": "ADD", "Mul": "MUL", "Relu": "RELU", "Relu6": "RELU6", "Sigmoid": "LOGISTIC", "Mean": "MEAN",
    "ConcatV2": "CONCATENATION", "ResizeBilinear": "RESIZE_BILINEAR", "DEQUANTIZE": "DEQUANTIZE",
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

    def convert(self) -> bytes:
        done: set[str] = set()
        for node in self.graph.values():
            if node.op == "Placeholder":
                self.subgraph.inputs = [self.activation(node.name, node.name)]
            elif node.op in ("Conv2D", "DepthwiseConv2dNative", "MatMul"):
                done |= self.layer(node)
            elif node.name not in done and node.op in OPERATORS:
                sources = [self.source(name) for name in node.inputs]
                self.operator(node.op, sources, self.activation(node.name, node.name))
        self.subgraph.outputs = [len(self.subgraph.tensors) - 1]
        builder = flatbuffers.Builder()
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

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
        if node is not None:
            kind = {"Conv2D": "Conv2D", "MatMul": "FullyConnected"}.get(
                node.op, "DepthwiseConv2D"
            ) + "Options"
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
            options = operator.builtinOptions = getattr(schema, f"{kind}T")()
            options.fusedActivationFunction = activation
            if node.op != "MatMul":
                options.strideH = options.strideW = node.attributes["strides"][1]
                options.dilationHFactor = options.dilationWFactor = node.attributes["dilations"][1]
                options.padding = schema.Padding.SAME
        self.subgraph.operators.append(operator)


def skip(graph: FileGraph, name: str) -> str:
    return getattr(skip_copies(graph, name), "name", name)


def classifier(
    backbone: Callable[..., Any], width: float, feature: str, hidden: int | None = None
) -> Classifier:
    return Classifier(
        backbone(width_mult=width, out_features=(feature,), padding="same", norm_eps=1e-3),
        partial(ClassifierHead, feature=feature, hidden_channels=hidden),
        tuple("abcdefgh"),
        Resize(SIZE),
    )


def segmenter() -> Segmenter:
    backbone = mobilenet_v2(
        width_mult=0.25, out_features=("c5",), output_stride=16, padding="same", norm_eps=1e-3
    )
    head = partial(DeepLabV3Head, form="aspp", channels=16)
    return Segmenter(backbone, head, tuple("abcdefgh"), Resize(SIZE))


def as_calibrated(model: Any) -> Any:
    """``model`` with BatchNorms as after training: each layer's output varies with the image."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
            nn.init.uniform_(module.weight, 0.6, 1.4)
            nn.init.normal_(module.bias, 0, 0.3)
    model.train()(IMAGES)
    return model.eval()


BUILDERS: dict[str, Callable[[], Any]] = {
    "v1 0.25": partial(classifier, mobilenet_v1, 0.25, "c5"),
    "v2 0.35": partial(classifier, mobilenet_v2, 0.35, "last"),
    "v3 small": partial(classifier, mobilenet_v3_small, 0.75, "last", 32),
    "deeplab v2": segmenter,
}


CASES = [
    ("v1 0.25", "float16"), ("v1 0.25", "uint8"), ("v2 0.35", "float32"),
    ("v2 0.35", "int8"), ("v3 small", "float32"), ("deeplab v2", "float32"),
]  # fmt: skip


@torch.no_grad()
@pytest.mark.parametrize(("name", "kind"), CASES)
def test_a_model_comes_back(name: str, kind: str, tmp_path: Path, write_graph: Any, run_graph: Any) -> None:
    torch.manual_seed(0)
    source, path = as_calibrated(BUILDERS[name]()), tmp_path / "model.tflite"
    write_graph(source, source.normalize(IMAGES), tmp_path / "graph.pb")
    graph = read_frozen_graph(tmp_path / "graph.pb")
    nodes = [n.name for n in graph.values() if constant(graph, n.name) is None and n.op != "Placeholder"]
    feeds = {"input": source.normalize(IMAGES)}
    path.write_bytes(Converter(graph, {**run_graph(graph, feeds, nodes), **feeds}, kind).convert())
    model = BUILDERS[name]().eval()
    imported = import_tensorflow(model, path)
    assert imported.facts["is_norm_folded"] and imported.facts["padding"] == "same"
    assert not imported.report.unused
    if kind in ("float32", "float16"):
        for ours, theirs in zip(varying(model), varying(source), strict=True):
            tolerance = {"float32": 1e-3, "float16": 0.5}[kind] * theirs.std().item()
            torch.testing.assert_close(ours, theirs, rtol=0, atol=tolerance)
            assert torch.corrcoef(torch.stack((ours.flatten(), theirs.flatten())))[0, 1] > 0.99
    else:  # rounding of a net that was not trained with it adds up: weight by weight it must be small
        assert_rounded(model, folded(source))


def varying(model: Any) -> list[Tensor]:
    """Features and logits without what all images have in common."""
    (features,) = model.backbone(model.normalize(IMAGES)).values()
    return [x - x.mean(dim=0) for x in (features, model(IMAGES))]


def folded(model: Any) -> dict[str, Tensor]:
    """The state of a model with its BatchNorms inside the convolutions, as the importer leaves it."""
    state = dict(model.state_dict())
    for name, norm in model.named_modules():
        if isinstance(norm, nn.BatchNorm2d):
            scale = norm.weight / (norm.running_var + norm.eps).sqrt()
            kernel = f"{name.removesuffix('norm')}conv.weight"
            state[kernel] = state[kernel] * scale[:, None, None, None]
            state[f"{name}.bias"] = norm.bias - norm.running_mean * scale
    return state


def assert_rounded(model: Any, exact: Mapping[str, Tensor]) -> None:
    """Kernels are off by half a step at most, of 255 over their range, and biases by much less."""
    num_off = 0
    for name, value in model.state_dict().items():
        if value.ndim > 1 or name.endswith("bias"):
            step = (exact[name].max().clamp(min=0) - exact[name].min().clamp(max=0)).item() / 255
            step = max(step, exact[name].abs().max().item() / 127) if value.ndim > 1 else 4 * step
            error = (value - exact[name]).abs().max().item()
            assert error <= 0.501 * step, (name, error, step)
            num_off += error > 0
    assert num_off > 20, "something was rounded"
