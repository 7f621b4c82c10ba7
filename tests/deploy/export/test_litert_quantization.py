"""Covers deploy/converters/litert_quantize_script.py.

int8 and float16 LiteRT files, by the real quantizer where it is there.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pocketvision.core.errors import InputError
from pocketvision.deploy.certificate.verdict import COARSE_AGREEMENT, METRIC_LIMITS
from pocketvision.deploy.converters.environment import Converters, converter_python
from pocketvision.deploy.converters.litert_quantize_script import fingerprint
from pocketvision.deploy.export.calibration_images import save_batches
from pocketvision.deploy.export.litert_quantization import LiteRtQuantizer
from pocketvision.deploy.export.sensitivity import relative_error
from pocketvision.deploy.export.to_file import export_model, plan_artifact
from pocketvision.deploy.export.to_int8 import Limit, export_int8
from pocketvision.deploy.formats import ExportOptions
from pocketvision.deploy.runtimes.described import describe
from pocketvision.deploy.runtimes.graphs import make_graph
from pocketvision.deploy.runtimes.litert_interpreter import LiteRtRuntime, read_litert
from pocketvision.deploy.runtimes.opening import open_runtime
from pocketvision.deploy.runtimes.torch_module import TorchRuntime
from pocketvision.models import VisionModel

pytestmark = pytest.mark.slow


def weights(path: Path) -> list[str]:
    """The type of the weight of every convolution in a file."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=read_litert(path)[1])
    types = {tensor["index"]: tensor["dtype"].__name__ for tensor in interpreter.get_tensor_details()}
    operators: list[dict[str, Any]] = interpreter._get_ops_details()
    enlarged = {op["outputs"][0]: op["inputs"][0] for op in operators if op["op_name"] == "DEQUANTIZE"}
    read = [op["inputs"][1] for op in operators if op["op_name"] in ("CONV_2D", "DEPTHWISE_CONV_2D")]
    return [types[enlarged.get(index, index)] for index in read]


@pytest.fixture(scope="module")
def quantizer(models: dict[str, VisionModel], images: Tensor, converters: Converters) -> LiteRtQuantizer:
    pytest.importorskip("ai_edge_litert")
    artifact = replace(plan_artifact(models["detection"], ExportOptions()), batch=1)
    return LiteRtQuantizer(make_graph(models["detection"]), artifact, images, converter_python(converters))


def test_a_detector(
    quantizer: LiteRtQuantizer, models: dict[str, VisionModel], images: Tensor, tmp_path: Path
) -> None:
    """All convolutions are int8, or all but a block's; what goes in and comes out is as it was."""
    artifact = replace(describe(models["detection"]), batch=1)
    expected = TorchRuntime(models["detection"])(images)
    blocks = list(quantizer.weights)
    for count, kept in enumerate([(), (blocks[0],), tuple(blocks)]):
        path = tmp_path / f"{count}.tflite"
        assert "ai-edge-quantizer" in quantizer.save(quantizer.quantized(kept), artifact, path)
        types = weights(path)
        float_weights = sum(len(quantizer.weights[block]) for block in kept)
        assert types.count("float32") == float_weights and types.count("int8") == len(types) - float_weights
        found = open_runtime(path)(images)
        for name, value in found.items():
            assert value.dtype == torch.float32
            limit = 5e-3 if count == 2 else 0.35  # sums between blocks are int8
            assert relative_error([value], [expected[name]]) < limit, (count, name)


def test_a_weight_that_is_not_in_the_file(quantizer: LiteRtQuantizer) -> None:
    quantizer.weights["elsewhere"] = {"weight": torch.ones(3, 3)}
    with pytest.raises(InputError, match="1 of the weights that stay float32 are not in the file"):
        quantizer.quantized(["elsewhere"])


def test_the_limit_and_batches_of_floats(
    models: dict[str, VisionModel], images: Tensor, converters: Converters, tmp_path: Path
) -> None:
    pytest.importorskip("ai_edge_litert")
    scores = itertools.chain([0.9], itertools.repeat(0.89))
    options = ExportOptions(label_map=True, batch=3, input_type="float")
    path = tmp_path / "m.tflite"
    limit = Limit(lambda file: {"AP": next(scores)}, max_drop=0.02)
    export_int8(models["segmentation"], "litert", path, images, options, limit, converters)
    runtime = open_runtime(path)
    assert isinstance(runtime, LiteRtRuntime) and runtime.artifact.batch == 3
    assert runtime.artifact.quantization is not None and runtime.artifact.quantization.float_blocks == ()
    assert set(weights(path)) == {"int8"} and path.with_suffix(".sensitivity.json").is_file()
    expected = TorchRuntime(models["segmentation"], label_map=True)(images)["label_map"]
    assert (runtime(images)["label_map"] == expected).float().mean() > 0.8


def test_weights_in_half_the_bytes(
    models: dict[str, VisionModel], images: Tensor, converters: Converters, tmp_path: Path
) -> None:
    pytest.importorskip("ai_edge_litert")
    whole = export_model(models["detection"], "litert", tmp_path / "w.tflite", converters=converters)
    options = ExportOptions(float16=True)
    half = export_model(models["detection"], "litert", tmp_path / "h.tflite", options, converters)
    assert set(weights(whole)) == {"float32"} and set(weights(half)) == {"float16"}
    runtime = open_runtime(half)
    assert runtime.artifact.has_float16 and not open_runtime(whole).artifact.has_float16
    for name, value in runtime(images).items():
        error = relative_error([value], [open_runtime(whole)(images)[name]])
        assert 0 < error < 3e-3


def test_a_fingerprint_knows_values_not_their_places() -> None:
    weight = np.random.default_rng(0).normal(size=(4, 3, 2, 2)).astype(np.float32)
    assert fingerprint(weight) == fingerprint(weight.transpose(0, 2, 3, 1).copy())
    assert fingerprint(weight) != fingerprint(weight * 2)


@pytest.mark.parametrize(("batch", "count"), [(None, 4), (3, 2)])
def test_batches_are_files_without_pickle(
    batch: int | None, count: int, models: dict[str, VisionModel], images: Tensor, tmp_path: Path
) -> None:
    artifact = replace(describe(models["detection"]), batch=batch)
    save_batches(images, artifact, tmp_path / "images.npz")
    with np.load(tmp_path / "images.npz", allow_pickle=False) as file:
        found = file["images"]
    assert found.dtype == np.uint8 and found.shape[:2] == (count, batch or 1)
    filled = torch.cat([images, images])[: found.shape[0] * found.shape[1]]
    np.testing.assert_array_equal(found.reshape(filled.shape), filled.numpy())


def test_what_is_rounded_has_its_own_tolerance() -> None:
    assert METRIC_LIMITS["float32"] < METRIC_LIMITS["float16"] < METRIC_LIMITS["int8"]
    assert COARSE_AGREEMENT["float16"] > COARSE_AGREEMENT["int8"]
