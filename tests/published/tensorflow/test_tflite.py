"""Covers published/tensorflow/quantization.py.

TFLite files that the tests write; what they compute is asked of TensorFlow Lite's own runtime.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import pytest
import tflite
import torch
import torch.nn.functional as F

from pocketvision.core.errors import InputError
from pocketvision.published.tensorflow.graph_layers import find_layers
from pocketvision.published.tensorflow.quantization import TensorQuantization, settle
from pocketvision.published.tensorflow.tflite import read_tflite

RANDOM = np.random.default_rng(0)
TYPES = {"float32": 0, "float16": 1, "int32": 2, "uint8": 3, "int8": 9}
SIZE = 6


class Writer:
    """Builds a model of one subgraph (tensorflow/lite/schema/schema.fbs)."""

    def __init__(self) -> None:
        self.builder = flatbuffers.Builder()
        self.tensors: list[int] = []
        self.buffers = [self.buffer(b"")]
        self.operators: list[int] = []
        self.codes: list[int] = []

    def buffer(self, content: bytes) -> int:
        data = self.builder.CreateByteVector(content)
        tflite.BufferStart(self.builder)
        if content:
            tflite.BufferAddData(self.builder, data)
        return int(tflite.BufferEnd(self.builder))

    def tensor(
        self,
        name: str,
        shape: Any,
        dtype: str,
        values: Any = None,
        scale: Any = None,
        zero: Any = 0,
        axis: int = 0,
    ) -> int:
        build = self.builder
        label, quantization = build.CreateString(name), 0
        dims = build.CreateNumpyVector(np.array(shape, np.int32))
        if scale is not None:
            scales = build.CreateNumpyVector(np.atleast_1d(np.float32(scale)))
            zeros = build.CreateNumpyVector(
                np.broadcast_to(np.int64(zero), np.shape(np.atleast_1d(scale))).copy()
            )
            tflite.QuantizationParametersStart(build)
            tflite.QuantizationParametersAddScale(build, scales)
            tflite.QuantizationParametersAddZeroPoint(build, zeros)
            tflite.QuantizationParametersAddQuantizedDimension(build, axis)
            quantization = tflite.QuantizationParametersEnd(build)
        if values is not None:
            self.buffers.append(self.buffer(np.asarray(values, dtype=dtype).tobytes()))
        tflite.TensorStart(build)
        tflite.TensorAddName(build, label)
        tflite.TensorAddShape(build, dims)
        tflite.TensorAddType(build, TYPES[dtype])
        tflite.TensorAddBuffer(build, len(self.buffers) - 1 if values is not None else 0)
        if quantization:
            tflite.TensorAddQuantization(build, quantization)
        self.tensors.append(tflite.TensorEnd(build))
        return len(self.tensors) - 1

    def operator(self, kind: str, inputs: list[int], output: int, **options: int) -> None:
        build, code = self.builder, getattr(tflite.BuiltinOperator, kind)
        if code not in self.codes:
            self.codes.append(code)
        table, name = 0, {"CONV_2D": "Conv2DOptions", "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions"}.get(kind)
        name = "FullyConnectedOptions" if kind == "FULLY_CONNECTED" else name
        if name:
            getattr(tflite, f"{name}Start")(build)
            for key, value in options.items():
                getattr(tflite, f"{name}Add{key}")(build, value)
            table = getattr(tflite, f"{name}End")(build)
        reads, writes = (build.CreateNumpyVector(np.array(x, np.int32)) for x in (inputs, [output]))
        tflite.OperatorStart(build)
        tflite.OperatorAddOpcodeIndex(build, self.codes.index(code))
        tflite.OperatorAddInputs(build, reads)
        tflite.OperatorAddOutputs(build, writes)
        if name:
            tflite.OperatorAddBuiltinOptionsType(build, getattr(tflite.BuiltinOptions, name))
            tflite.OperatorAddBuiltinOptions(build, table)
        self.operators.append(tflite.OperatorEnd(build))

    def vector(self, offsets: list[int]) -> int:
        self.builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            self.builder.PrependUOffsetTRelative(offset)
        return int(self.builder.EndVector())

    def finish(self, source: int, output: int) -> bytes:
        build, codes = self.builder, []
        for code in self.codes:
            tflite.OperatorCodeStart(build)
            tflite.OperatorCodeAddDeprecatedBuiltinCode(build, code)
            tflite.OperatorCodeAddBuiltinCode(build, code)
            tflite.OperatorCodeAddVersion(build, 3)
            codes.append(tflite.OperatorCodeEnd(build))
        lists = [self.vector(x) for x in (self.tensors, self.operators, codes, self.buffers)]
        ends = [build.CreateNumpyVector(np.array([x], np.int32)) for x in (source, output)]
        tflite.SubGraphStart(build)
        tflite.SubGraphAddTensors(build, lists[0])
        tflite.SubGraphAddOperators(build, lists[1])
        tflite.SubGraphAddInputs(build, ends[0])
        tflite.SubGraphAddOutputs(build, ends[1])
        subgraphs = self.vector([tflite.SubGraphEnd(build)])
        tflite.ModelStart(build)
        tflite.ModelAddVersion(build, 3)
        tflite.ModelAddOperatorCodes(build, lists[2])
        tflite.ModelAddSubgraphs(build, subgraphs)
        tflite.ModelAddBuffers(build, lists[3])
        build.Finish(tflite.ModelEnd(build), b"TFL3")
        return bytes(build.Output())


def small_model(kind: str, path: Path) -> None:
    """Stem, depthwise and fully connected layer; int8 has a scale for each channel, uint8 one for all."""
    writer = Writer()
    quantized = kind in ("uint8", "int8")
    dtype = kind if quantized else "float32"
    zero = {"uint8": 128, "int8": 0}.get(kind, 0)

    def activation(name: str, shape: Any, scale: float, at: int = zero) -> int:
        return writer.tensor(name, shape, dtype, scale=scale if quantized else None, zero=at)

    def kernel(name: str, shape: Any, axis: int) -> int:
        values = RANDOM.uniform(-1, 1, shape)
        if not quantized:
            stored = writer.tensor(name, shape, kind, values)
            if kind == "float16":
                real = writer.tensor(f"{name}/real", shape, "float32")
                writer.operator("DEQUANTIZE", [stored], real)
                return real
            return stored
        scale = RANDOM.uniform(0.007, 0.01, shape[axis]) if kind == "int8" else np.array([0.008])
        expand = [-1 if i == axis else 1 for i in range(len(shape))]
        values = np.clip(
            np.round(values / scale.reshape(expand if kind == "int8" else [1])) + zero,
            -127 + zero,
            127 + zero,
        )
        scales[name] = scale
        return writer.tensor(name, shape, dtype, values, scale, zero, axis)

    def bias(name: str, channels: int, factor: float) -> int:
        values = RANDOM.uniform(-1, 1, channels)
        if not quantized:
            return writer.tensor(f"{name}/bias", [channels], "float32", values)
        scale = scales[name] * factor
        return writer.tensor(f"{name}/bias", [channels], "int32", np.round(values / scale), scale)

    scales: dict[str, Any] = {}
    x = activation("input", [1, SIZE, SIZE, 3], 1 / 64)
    y = activation("stem", [1, SIZE // 2, SIZE // 2, 4], 6 / 255, zero - 128)
    same = {"StrideH": 2, "StrideW": 2, "Padding": 0, "DilationHFactor": 1, "DilationWFactor": 1}
    stem = [x, kernel("a", [4, 3, 3, 3], 0), bias("a", 4, 1 / 64)]
    # Old quantized files have no ReLU6: the range of the output cuts to 0..6.
    writer.operator("CONV_2D", stem, y, **same, FusedActivationFunction=0 if quantized else 3)
    z = activation("depthwise", [1, SIZE // 2, SIZE // 2, 4], 0.08)
    depthwise = [y, kernel("b", [1, 3, 3, 4], 3), bias("b", 4, 6 / 255)]
    writer.operator(
        "DEPTHWISE_CONV_2D", depthwise, z, **{**same, "StrideH": 1, "StrideW": 1}, DepthMultiplier=1
    )
    out = activation("logits", [1, 5], 0.2)
    dense = [z, kernel("c", [5, 4 * (SIZE // 2) ** 2], 0), bias("c", 5, 0.08)]
    writer.operator("FULLY_CONNECTED", dense, out)
    path.write_bytes(writer.finish(x, out))


@pytest.mark.parametrize(
    ("kind", "tolerance"), [("float32", 1e-4), ("float16", 1e-4), ("uint8", 0.5), ("int8", 0.5)]
)
def test_the_layers_compute_what_the_runtime_does(kind: str, tolerance: float, tmp_path: Path) -> None:
    interpreter = pytest.importorskip("ai_edge_litert.interpreter")
    path = tmp_path / "a.tflite"
    small_model(kind, path)
    runtime = interpreter.Interpreter(str(path), num_threads=1)
    runtime.allocate_tensors()
    (source,), (target,) = runtime.get_input_details(), runtime.get_output_details()
    x = RANDOM.uniform(-1, 1, (1, SIZE, SIZE, 3)).astype(np.float32)
    scale, zero = source["quantization"]
    stored = (np.round(x / scale) + zero).astype(source["dtype"]) if scale else x
    runtime.set_tensor(source["index"], stored)
    runtime.invoke()
    expected = runtime.get_tensor(target["index"]).astype(np.float32)
    if scale:
        x = (stored.astype(np.float32) - zero) * np.float32(scale)
        expected = (expected - target["quantization"][1]) * target["quantization"][0]

    stem, depthwise, dense = find_layers(read_tflite(path))
    assert [layer.is_depthwise for layer in (stem, depthwise, dense)] == [False, True, False]
    assert stem.clamp == pytest.approx((0, 6)) and stem.links is not None and stem.links.padding == "same"
    y = F.pad(torch.from_numpy(x).permute(0, 3, 1, 2), (0, 1, 0, 1))
    y = F.conv2d(y, tensor(stem.kernel), tensor(stem.bias), 2).clamp(*stem.clamp)  # type: ignore[misc]
    y = F.conv2d(y, tensor(depthwise.kernel), tensor(depthwise.bias), padding=1, groups=4)
    ours = y.permute(0, 2, 3, 1).flatten(1) @ tensor(dense.kernel)[:, :, 0, 0].T + tensor(dense.bias)
    np.testing.assert_allclose(ours.numpy(), expected, atol=tolerance)
    assert np.abs(expected).max() > 4 * tolerance


def tensor(values: Any) -> torch.Tensor:
    return torch.from_numpy(np.array(values, dtype=np.float32))


def test_a_channel_that_rounding_holds_still_becomes_constant() -> None:
    kernel = RANDOM.uniform(-1, 1, (3, 4, 1, 1)).astype(np.float32)
    kernel[1] *= 1e-4
    bias = np.float32([0.3, 0.3, 0.3])
    step = TensorQuantization(np.array([0.25]), np.array([100.0]), 0, (0, 255))
    inputs = TensorQuantization(np.array([0.02]), np.array([128.0]), 0, (0, 255))
    settled, moved = settle(kernel, bias, inputs, step)
    np.testing.assert_array_equal(settled[[0, 2]], kernel[[0, 2]])
    assert not settled[1].any() and moved.tolist() == pytest.approx([0.3, 0.25, 0.3])


def test_broken_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.tflite"
    with pytest.raises(InputError, match="There is no TFLite file"):
        read_tflite(path)
    small_model("uint8", path)
    whole = path.read_bytes()
    path.write_bytes(b"PK\3\4 something else")
    with pytest.raises(InputError, match="is no TFLite file"):
        read_tflite(path)
    damaged = [whole[:size] for size in range(8, len(whole), 101)]
    for position in range(8, len(whole), 13):
        damaged.append(whole[:position] + bytes([whole[position] ^ 0xFF]) + whole[position + 1 :])
    num_refused = 0
    for content in damaged:
        path.write_bytes(content)
        try:
            find_layers(read_tflite(path))
        except InputError as error:
            num_refused += 1
            assert "\n" not in str(error)
    assert num_refused > 50
    monkeypatch.setitem(sys.modules, "tflite", None)
    with pytest.raises(InputError, match=r"pip install 'pocketvision\[tf\]'"):
        read_tflite(path)
