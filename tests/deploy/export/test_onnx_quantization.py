"""Int8 for ONNX Runtime: what becomes int8 and what must not, and that it still says the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor

from pocketvision.deploy.export.onnx_quantization import OnnxQuantizer, run_onnx
from pocketvision.deploy.export.sensitivity import block_errors, errors_table, relative_error

Exported = Callable[..., Path]


@pytest.fixture(scope="module")
def quantizers(exported: Exported, images: Tensor) -> dict[str, OnnxQuantizer]:
    tasks = ("detection", "segmentation", "classification")
    return {task: OnnxQuantizer(onnx.load(exported(task, "onnx")), images) for task in tasks}


def nodes(model: Any, kind: str) -> list[Any]:
    return [node for node in model.graph.node if node.op_type == kind]


def weight_of(model: Any, name: str) -> Any:
    found = [onnx.numpy_helper.to_array(x) for x in model.graph.initializer if x.name == name]
    return found[0] if found else None


@pytest.mark.parametrize("task", ["detection", "segmentation", "classification"])
def test_every_convolution_is_int8_by_channel(quantizers: dict[str, OnnxQuantizer], task: str) -> None:
    model = quantizers[task].quantized(())
    sources = {node.output[0]: node for node in nodes(model, "DequantizeLinear")}
    convolutions = nodes(model, "Conv")
    assert len(convolutions) >= 5
    for node in convolutions:
        weight = sources[node.input[1]]
        values, scales = (weight_of(model, name) for name in weight.input[:2])
        assert values.dtype == np.int8 and node.input[0] in sources
        assert scales.shape == (values.shape[0],), "a scale for every output channel"
        assert np.abs(values.reshape(len(values), -1)).max(axis=1).min() >= 127, "which uses its range"


def test_normalising_stays_float32(quantizers: dict[str, OnnxQuantizer]) -> None:
    model = quantizers["detection"].quantized(())
    from_int8 = {node.output[0] for node in nodes(model, "DequantizeLinear")}
    (sub,), (div,) = nodes(model, "Sub"), nodes(model, "Div")
    assert not from_int8.intersection([*sub.input, *div.input])
    assert div.input[0] == sub.output[0]


def test_scores_and_boxes_never_share_a_scale(quantizers: dict[str, OnnxQuantizer]) -> None:
    """Nor do the levels: what joins them is float32."""
    model = quantizers["detection"].quantized(())
    after: dict[str, set[str]] = {}
    for node in model.graph.node:
        for name in node.input:
            after.setdefault(name, set()).add(node.op_type)
    for node in nodes(model, "Concat"):
        assert "QuantizeLinear" not in after.get(node.output[0], set())
    scales = [node.input[1] for node in nodes(model, "QuantizeLinear")]
    assert len(scales) == len(set(scales)) > 5, "every activation has its own"


@pytest.mark.parametrize("task", ["detection", "segmentation", "classification"])
def test_it_says_nearly_the_same(quantizers: dict[str, OnnxQuantizer], images: Tensor, task: str) -> None:
    quantizer = quantizers[task]
    expected = run_onnx(quantizer.original, images)
    change = relative_error(run_onnx(quantizer.quantized(()), images), expected)
    assert 0 < change < 0.5
    everything = run_onnx(quantizer.quantized(quantizer.blocks), images)
    assert relative_error(everything, expected) < 0.5 * change


def test_empty_images_do_not_narrow_the_ranges(exported: Exported, images: Tensor) -> None:
    """What few images show is not cut off because most show nothing."""
    model = onnx.load(exported("detection", "onnx"))
    mostly_empty = torch.cat(
        [images, torch.full((9 * len(images), *images.shape[1:]), 90, dtype=torch.uint8)]
    )
    alone, mixed = (OnnxQuantizer(model, some) for some in (images, mostly_empty))
    for name, found in alone.ranges.items():
        (low, high), (least, most) = found.range_value, mixed.ranges[name].range_value
        assert least <= low and most >= high, name
    expected = run_onnx(model, images)
    errors = [
        relative_error(run_onnx(quantizer.quantized(()), images), expected) for quantizer in (alone, mixed)
    ]
    assert errors[1] < 1.3 * errors[0]


def test_block_errors_are_those_of_each_block_alone(
    quantizers: dict[str, OnnxQuantizer], images: Tensor
) -> None:
    quantizer = quantizers["classification"]
    errors = block_errors(quantizer, images)
    assert set(errors) == set(quantizer.blocks) and list(errors.values()) == sorted(errors.values())[::-1]
    worst = next(iter(errors))
    alone = run_onnx(quantizer.quantized([b for b in errors if b != worst]), images)
    assert errors[worst] == pytest.approx(relative_error(alone, run_onnx(quantizer.original, images)))
    table = errors_table(errors, [worst])
    assert table.splitlines()[1].split() == [worst, f"{errors[worst]:.2%}", "stays", "float32"]


def test_relative_error_takes_the_worst_output() -> None:
    expected = [torch.tensor([0.0, 2.0]), torch.tensor([1.0, 3.0])]
    found = [torch.tensor([0.0, 2.0]), torch.tensor([2.0, 4.0])]
    assert relative_error(found, expected) == pytest.approx(1 / expected[1].std().item())
    assert relative_error(expected, expected) == 0
