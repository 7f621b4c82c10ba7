"""TFLite files -> the same nodes and constants as a frozen graph, dequantised, without TensorFlow.

The schema is the ``tflite`` package's (tensorflow/lite/schema/schema.fbs), an extra of ours.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from pocketvision.core.errors import InputError
from pocketvision.published.tensorflow.graph import ConstantValue, FileGraph, Node
from pocketvision.published.tensorflow.operator_names import (
    ACTIVATION_NAMES,
    CLAMPED,
    GRAPH_NAMES,
    KERNEL_DIMENSIONS,
    OPTION_CLASSES,
    STORED_TYPES,
)
from pocketvision.published.tensorflow.quantization import TensorQuantization, settle

_BROKEN = (struct.error, ValueError, LookupError, TypeError, AttributeError, OverflowError)
"""What the schema's classes raise for offsets that lead nowhere."""


def read_tflite(path: Path) -> FileGraph:
    """Nodes of a TFLite file's first subgraph by name. Fused biases and activations are nodes of their own.

    Where a quantized tensor follows a layer or sum, a ``Clamp`` node says the range that it can hold; in
    files without an explicit ReLU6 it is that range which cuts to 0..6. Channels that rounding keeps
    constant are made so (:func:`~pocketvision.published.tensorflow.quantization.settle`).

    Raises:
        InputError: the file is missing, broken or no TFLite file, or the ``tf`` extra is not installed.
    """
    if not path.is_file():
        raise InputError(f"There is no TFLite file {path}: check the path.")
    try:
        import tflite  # type: ignore[import-untyped]
    except ImportError as error:
        raise InputError(f"{path} needs two small packages: pip install 'pocketvision[tf]'.") from error
    data = path.read_bytes()
    if data[4:8] != b"TFL3":
        raise InputError(f"{path} is no TFLite file: its first bytes say otherwise.")
    with _refusing(path):
        return _Reader(path, data, tflite).graph()


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
    """Turn what a broken file leads to into one sentence."""
    try:
        yield
    except InputError:
        raise
    except _BROKEN as error:
        raise InputError(f"{path} is a broken TFLite file: download or export it again.") from error


class _Reader:
    def __init__(self, path: Path, data: bytes, schema: Any) -> None:
        self.path, self.schema = path, schema
        self.model = schema.Model.GetRootAs(data, 0)
        self.subgraph = self.model.Subgraphs(0)
        self.operations = _names_of(schema.BuiltinOperator)
        self.types = _names_of(schema.TensorType)
        self.weights = cache(self._weights)

    def graph(self) -> FileGraph:
        nodes = [node for operator in self.operators for node in self._nodes(operator)]
        made = {node.name for node in nodes}
        inputs = [self.names[self.subgraph.Inputs(i)] for i in range(self.subgraph.InputsLength())]
        made.update(inputs)
        constants = [
            Node(name, "Const", read=partial(self._value, index))
            for index, name in enumerate(self.names)
            if name not in made
        ]
        graph = [*self._placeholders(), *constants, *nodes]
        return {node.name: node for node in graph}

    def _placeholders(self) -> Iterator[Node]:
        """The inputs; a quantized one's range says how it is normalized."""
        for index in (self.subgraph.Inputs(i) for i in range(self.subgraph.InputsLength())):
            quantization = self._quantization(index)
            tensor = self.subgraph.Tensors(index)
            attributes: dict[str, Any] = {"shape": [tensor.Shape(i) for i in range(tensor.ShapeLength())]}
            if quantization:
                attributes["range"] = quantization.range
            yield Node(self.names[index], "Placeholder", attributes=attributes)

    @cached_property
    def operators(self) -> list[Any]:
        return [self.subgraph.Operators(index) for index in range(self.subgraph.OperatorsLength())]

    @cached_property
    def names(self) -> list[str]:
        """A unique name for each tensor."""
        names: list[str] = []
        seen: set[str] = set()
        for index in range(self.subgraph.TensorsLength()):
            name = (self.subgraph.Tensors(index).Name() or b"").decode(errors="replace") or "tensor"
            names.append(f"{name}#{index}" if name in seen else name)
            seen.add(names[-1])
        return names

    @cached_property
    def dequantised(self) -> dict[int, int]:
        """Tensors that are made from stored ones when the model runs (in 16-bit files) -> these."""
        made = (op for op in self.operators if self._kind(op) == "DEQUANTIZE")
        return {operator.Outputs(0): operator.Inputs(0) for operator in made}

    def _kind(self, operator: Any) -> str:
        code = self.model.OperatorCodes(operator.OpcodeIndex())
        # Old files have the deprecated field only, new ones both.
        return self.operations.get(max(code.BuiltinCode(), code.DeprecatedBuiltinCode()), "CUSTOM")

    def _nodes(self, operator: Any) -> Iterator[Node]:
        """The nodes of one operation: itself, then what is fused into it, the last named as its output."""
        kind = self._kind(operator)
        tensors = [operator.Inputs(i) for i in range(operator.InputsLength()) if operator.Inputs(i) >= 0]
        inputs = tuple(self.names[i] for i in tensors)
        outputs = [operator.Outputs(i) for i in range(operator.OutputsLength())]
        if kind == "CUSTOM":
            kind, stated = self._custom(operator)
            yield from (Node(self.names[output], kind, inputs, stated) for output in outputs)
            return
        if len(outputs) != 1:
            yield from (Node(self.names[output], GRAPH_NAMES.get(kind, kind), inputs) for output in outputs)
            return
        name = self.names[outputs[0]]
        options = self._options(operator, kind)
        steps: list[tuple[str, tuple[str, ...], dict[str, Any]]] = [
            (GRAPH_NAMES.get(kind, kind), inputs, self._geometry(options))
        ]
        if kind in KERNEL_DIMENSIONS:
            kernel, bias = f"{name}/kernel", f"{name}/bias"
            weights = partial(self.weights, kind, tuple(tensors), outputs[0])
            yield Node(kernel, "Const", read=lambda: weights()[0])
            yield Node(bias, "Const", read=lambda: weights()[1])
            steps = [
                (GRAPH_NAMES[kind], (inputs[0], kernel), self._geometry(options)),
                ("BiasAdd", (bias,), {}),
            ]
        fused = options.FusedActivationFunction() if hasattr(options, "FusedActivationFunction") else 0
        if fused in ACTIVATION_NAMES:
            steps.append((ACTIVATION_NAMES[fused], (), {}))
        quantization = self._quantization(outputs[0]) if kind in CLAMPED else None
        steps += [("Clamp", (), {"range": quantization.range})] if quantization else []
        yield from _chain(steps, name)

    def _custom(self, operator: Any) -> tuple[str, dict[str, Any]]:
        """Name and options of an operator that the schema does not have; options are a map, or none."""
        from flatbuffers import flexbuffers  # type: ignore[import-untyped]

        name = self.model.OperatorCodes(operator.OpcodeIndex()).CustomCode() or b"CUSTOM"
        data = operator.CustomOptionsAsNumpy()
        options: Any = {} if isinstance(data, int) else flexbuffers.Loads(data.tobytes())
        return name.decode(errors="replace"), options if isinstance(options, dict) else {}

    def _options(self, operator: Any, kind: str) -> Any:
        table = operator.BuiltinOptions() if kind in OPTION_CLASSES else None
        if table is None:
            return None
        options = getattr(self.schema, OPTION_CLASSES[kind])()
        options.Init(table.Bytes, table.Pos)
        return options

    def _geometry(self, options: Any) -> dict[str, Any]:
        if hasattr(options, "AlignCorners"):
            corners, centers = options.AlignCorners(), options.HalfPixelCenters()
            return {"align_corners": bool(corners), "half_pixel_centers": bool(centers)}
        if not hasattr(options, "StrideH"):
            return {}
        geometry = {
            "strides": [1, options.StrideH(), options.StrideW(), 1],
            "padding": "SAME" if options.Padding() == self.schema.Padding.SAME else "VALID",
        }
        if hasattr(options, "FilterHeight"):
            return geometry | {"ksize": [1, options.FilterHeight(), options.FilterWidth(), 1]}
        return geometry | {"dilations": [1, options.DilationHFactor(), options.DilationWFactor(), 1]}

    def _weights(
        self, kind: str, tensors: tuple[int, ...], output: int
    ) -> tuple[ConstantValue, ConstantValue]:
        """Kernel, in the layout of TensorFlow's graphs, and bias (out,) of a layer with these tensors.

        The schema has kernels as (out, height, width, in), (1, height, width, out) and (out, in).
        """
        with _refusing(self.path):
            return self._read_weights(kind, tensors, output)

    def _read_weights(
        self, kind: str, tensors: tuple[int, ...], output: int
    ) -> tuple[ConstantValue, ConstantValue]:
        kernel = self._value(tensors[1])
        if kernel.ndim != KERNEL_DIMENSIONS[kind]:
            raise InputError(
                f"{self.path} is broken: kernel {self.names[tensors[1]]} has shape {kernel.shape}."
            )
        rows = kernel.transpose(3, 0, 1, 2) if kind == "DEPTHWISE_CONV_2D" else kernel
        rows = rows[:, :, None, None] if rows.ndim == 2 else rows
        bias = self._value(tensors[2]) if len(tensors) > 2 else np.zeros(len(rows), np.float32)
        inputs, outputs = self._quantization(tensors[0]), self._quantization(output)
        if inputs and outputs and bias.shape == (len(rows),):
            rows, bias = settle(rows, bias, inputs, outputs)
        if kind == "FULLY_CONNECTED":
            return rows[:, :, 0, 0].T, bias
        return (
            rows.transpose(2, 3, 0, 1) if kind == "DEPTHWISE_CONV_2D" else rows.transpose(1, 2, 3, 0)
        ), bias

    def _value(self, index: int) -> ConstantValue:
        """A stored tensor as real numbers."""
        with _refusing(self.path):
            return self._read_value(index)

    def _read_value(self, index: int) -> ConstantValue:
        index = self.dequantised.get(index, index)
        tensor = self.subgraph.Tensors(index)
        kind = self.types.get(tensor.Type(), "")
        if kind not in STORED_TYPES:
            raise InputError(
                f"{self.path}: {self.names[index]} is of type {kind or '?'}: export it as float."
            )
        shape = tuple(int(tensor.Shape(i)) for i in range(tensor.ShapeLength()))
        data = self.model.Buffers(tensor.Buffer()).DataAsNumpy()
        content = b"" if isinstance(data, int) else data.tobytes()
        if min(shape, default=1) < 0 or math.prod(shape) * np.dtype(STORED_TYPES[kind]).itemsize != len(
            content
        ):
            raise InputError(
                f"{self.path} is broken: {self.names[index]} of shape {shape} has {len(content)} bytes."
            )
        value: ConstantValue = np.frombuffer(content, STORED_TYPES[kind]).reshape(shape)
        quantization = self._quantization(index)
        return value if quantization is None else quantization.dequantise(value)

    def _quantization(self, index: int) -> TensorQuantization | None:
        tensor = self.subgraph.Tensors(index)
        parameters, dtype = tensor.Quantization(), STORED_TYPES.get(self.types.get(tensor.Type(), ""))
        if parameters is None or not parameters.ScaleLength() or dtype is None or np.dtype(dtype).kind == "f":
            return None
        scale = parameters.ScaleAsNumpy().astype(np.float64)
        zero = parameters.ZeroPointAsNumpy() if parameters.ZeroPointLength() else np.zeros(1)
        limits = (0, 1) if dtype is np.bool_ else (np.iinfo(dtype).min, np.iinfo(dtype).max)
        zero_point = np.broadcast_to(zero.astype(np.float64), scale.shape)
        return TensorQuantization(scale, zero_point, parameters.QuantizedDimension(), limits)


def _names_of(enumeration: Any) -> dict[int, str]:
    return {value: name for name, value in vars(enumeration).items() if isinstance(value, int)}


def _chain(steps: list[tuple[str, tuple[str, ...], dict[str, Any]]], output: str) -> Iterator[Node]:
    """Nodes one after another: each later step reads the one before it first; the last is ``output``."""
    before: tuple[str, ...] = ()
    for number, (op, inputs, attributes) in enumerate(steps, start=1):
        name = output if number == len(steps) else f"{output}/{op}"
        yield Node(name, op, (*before, *inputs), attributes)
        before = (name,)
