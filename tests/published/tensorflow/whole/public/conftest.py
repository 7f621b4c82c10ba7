"""Gives TFLite files of the generator the forms in which public files come."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

schema = pytest.importorskip("ai_edge_litert.schema_py_generated")


class FileEditor:
    """A TFLite file whose operators and tensors are changed one after another; :meth:`save` writes it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
        self.graph = self.model.subgraphs[0]

    def save(self) -> None:
        import flatbuffers

        builder = flatbuffers.Builder()
        builder.Finish(self.model.Pack(builder), b"TFL3")
        self.path.write_bytes(bytes(builder.Output()))

    @property
    def image(self) -> Any:
        return self.graph.tensors[self.graph.inputs[0]]

    def kind(self, operator: Any) -> str:
        names = {value: name for name, value in vars(schema.BuiltinOperator).items()}
        return names[self.model.operatorCodes[operator.opcodeIndex].builtinCode]

    def all(self, *kinds: str) -> list[Any]:
        return [operator for operator in self.graph.operators if self.kind(operator) in kinds]

    def tensor(self, like: Any, shape: Sequence[int], value: Any = None, dtype: str = "") -> int:
        """A tensor quantized as ``like``, or a constant."""
        tensor = schema.TensorT()
        tensor.name, tensor.shape = f"tensor_{len(self.graph.tensors)}", [int(side) for side in shape]
        tensor.buffer, tensor.type = 0, like.type if like else 0
        if value is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(value).tobytes(), np.uint8)
            self.model.buffers.append(buffer)
            tensor.buffer, dtype = len(self.model.buffers) - 1, dtype or value.dtype.name
        elif like is not None and like.quantization is not None and dtype != "float32":
            tensor.quantization = self.quantization(*like.quantization.scale, *like.quantization.zeroPoint)
        if dtype:
            tensor.type = getattr(schema.TensorType, dtype.upper())
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def quantization(self, scale: float, zero: int) -> Any:
        found = schema.QuantizationParametersT()
        found.scale, found.zeroPoint = [float(scale)], [int(zero)]
        return found

    def operator(self, kind: str, inputs: list[int], output: int, options: Any = None, at: int = -1) -> Any:
        code, made = schema.OperatorCodeT(), schema.OperatorT()
        code.builtinCode = getattr(schema.BuiltinOperator, kind)
        code.deprecatedBuiltinCode, code.version = code.builtinCode, 3 if kind == "RESIZE_BILINEAR" else 1
        self.model.operatorCodes.append(code)
        made.opcodeIndex, made.inputs, made.outputs = len(self.model.operatorCodes) - 1, inputs, [output]
        if options is not None:
            made.builtinOptions = options
            made.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__.removesuffix("T"))
        self.graph.operators.insert(len(self.graph.operators) if at < 0 else at, made)
        return made

    def append(
        self, kind: str, shape: Sequence[int], *more: Any, options: Any = None, dtype: str = ""
    ) -> Any:
        """An operator that reads what was the output, and constants, and gives the new one; its tensor."""
        source = self.graph.outputs[0]
        constants = [self.tensor(None, value.shape, value) for value in more]
        output = self.tensor(self.graph.tensors[source], shape, dtype=dtype)
        self.operator(kind, [source, *constants], output, options)
        self.graph.outputs = [output]
        return self.graph.tensors[output]


def with_keras_padding(file: FileEditor) -> None:
    """Layers with a stride: zeros all around but above and to the left of even sizes, then no padding."""
    for operator in file.all("CONV_2D", "DEPTHWISE_CONV_2D"):
        options = operator.builtinOptions
        if options.strideH == 1:
            continue
        x = file.graph.tensors[operator.inputs[0]]
        side = int(file.graph.tensors[operator.inputs[1]].shape[1])
        sides = [(side // 2 - 1 + size % 2, side // 2) for size in x.shape[1:3]]
        pads = np.int32([(0, 0), *sides, (0, 0)])
        padded = file.tensor(x, np.array(x.shape) + pads.sum(axis=1))
        at = file.graph.operators.index(operator)
        inputs = [operator.inputs[0], file.tensor(None, pads.shape, pads)]
        file.operator("PAD", inputs, padded, schema.PadOptionsT(), at)
        operator.inputs, options.padding = [padded, *operator.inputs[1:]], schema.Padding.VALID


def with_slim_end(file: FileEditor) -> None:
    """A pooling with a window, classes from a 1x1 convolution, their shape and a softmax."""
    (pool,) = file.all("MEAN")
    options = schema.Pool2DOptionsT()
    source, pooled = file.graph.tensors[pool.inputs[0]], file.graph.tensors[pool.outputs[0]]
    options.filterHeight, options.filterWidth = source.shape[1:3]
    options.strideH = options.strideW = 2
    options.padding = schema.Padding.VALID
    at = file.graph.operators.index(pool)
    file.graph.operators.remove(pool)
    pooled.quantization, pooled.shape = source.quantization, [1, 1, 1, int(source.shape[3])]
    file.operator("AVERAGE_POOL_2D", [pool.inputs[0]], pool.outputs[0], options, at)
    (dense,) = file.all("FULLY_CONNECTED")
    at = file.graph.operators.index(dense)
    file.graph.operators.remove(dense)
    kernel = file.graph.tensors[dense.inputs[1]]
    rows, columns = kernel.shape
    kernel.shape = [rows, 1, 1, columns]
    file.graph.tensors[dense.outputs[0]].shape = [1, 1, 1, rows]
    options = schema.Conv2DOptionsT()
    options.strideH = options.strideW = 1
    file.operator("CONV_2D", list(dense.inputs), dense.outputs[0], options, at)
    squeeze = schema.SqueezeOptionsT()
    squeeze.squeezeDims = [1, 2]
    file.append("SQUEEZE", (1, rows), options=squeeze)
    with_softmax(file)


def with_softmax(file: FileEditor) -> None:
    options = schema.SoftmaxOptionsT()
    options.beta = 1.0
    scores = file.append("SOFTMAX", file.graph.tensors[file.graph.outputs[0]].shape, options=options)
    if scores.type != schema.TensorType.FLOAT32:
        scores.quantization = file.quantization(1 / 256, -128 if scores.type == schema.TensorType.INT8 else 0)


def with_bytes_outside(file: FileEditor, dtype: str = "uint8") -> None:
    """An int8 model that takes and gives bytes, or floats, as its converter was told to."""
    inner, shape = file.graph.inputs[0], list(file.image.shape)
    outer = file.tensor(file.image, shape, dtype=dtype)
    if dtype == "uint8":
        found = file.image.quantization
        file.graph.tensors[outer].quantization = file.quantization(found.scale[0], found.zeroPoint[0] + 128)
    file.operator("QUANTIZE", [outer], inner, schema.QuantizeOptionsT(), 0)
    file.graph.inputs = [outer]
    output = file.graph.tensors[file.graph.outputs[0]]
    kind = "QUANTIZE" if dtype == "uint8" else "DEQUANTIZE"
    found, made = output.quantization, file.append(kind, output.shape, dtype=dtype)
    if dtype == "uint8":
        made.quantization = file.quantization(found.scale[0], found.zeroPoint[0] + 128)


def with_floats_outside(file: FileEditor) -> None:
    with_bytes_outside(file, "float32")


def with_fused_activations(file: FileEditor) -> None:
    """The old quantized files say ReLU6 too, beside the range that cuts as it does."""
    for operator in file.all("CONV_2D", "DEPTHWISE_CONV_2D"):
        found = file.graph.tensors[operator.outputs[0]].quantization
        if abs(found.scale[0] * 255 - 6) < 1e-3:
            operator.builtinOptions.fusedActivationFunction = schema.ActivationFunctionType.RELU6


def with_scaling(file: FileEditor) -> None:
    """Pixels 0..255 are normalized by the file: times 2 / 255, minus 1."""
    inner, shape = file.graph.inputs[0], list(file.image.shape)
    outer, scaled = (file.tensor(None, shape, dtype="float32") for _ in range(2))
    numbers = [file.tensor(None, (), np.float32(number)) for number in (2 / 255, 1)]
    file.operator("MUL", [outer, numbers[0]], scaled, schema.MulOptionsT(), 0)
    file.operator("SUB", [scaled, numbers[1]], inner, schema.SubOptionsT(), 1)
    file.graph.inputs = [outer]


def with_labels_at_the_end(file: FileEditor) -> None:
    """Logits of another size, then of the image's, both from corner to corner; classes of pixels."""
    classes = file.graph.tensors[file.graph.outputs[0]].shape[3]
    for height, width in ((30, 30), tuple(file.image.shape[1:3])):
        options = schema.ResizeBilinearOptionsT()
        options.alignCorners = True
        file.append(
            "RESIZE_BILINEAR", (1, height, width, classes), np.int32([height, width]), options=options
        )
    options = schema.ArgMaxOptionsT()
    options.outputType = schema.TensorType.INT64
    labels = file.append("ARG_MAX", (1, height, width), np.int32(3), options=options, dtype="int64")
    labels.quantization = None


FORMS: dict[str, Callable[[FileEditor], None]] = {
    form.__name__.removeprefix("with_").replace("_", " "): form
    for form in (
        with_keras_padding, with_slim_end, with_softmax, with_bytes_outside, with_floats_outside,
        with_fused_activations, with_scaling, with_labels_at_the_end,
    )
}  # fmt: skip


@pytest.fixture
def give_form() -> Callable[[Path, Sequence[str]], None]:
    """``give_form(path, names)``: the TFLite file at ``path`` in :data:`FORMS`, one after another."""

    def change(path: Path, names: Sequence[str]) -> None:
        file = FileEditor(path)
        for name in names:
            FORMS[name](file)
        file.save()

    return change
