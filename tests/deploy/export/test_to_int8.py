"""Covers deploy/export/openvino_quantization.py, deploy/export/sensitivity.py.

Int8 files: they run, keep the limit, and say what they were made from.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
import torch
from torch import Tensor

from pocketvision.core.errors import InputError
from pocketvision.deploy.export.openvino_quantization import OpenVinoQuantizer
from pocketvision.deploy.export.sensitivity import relative_error
from pocketvision.deploy.export.to_file import plan_artifact
from pocketvision.deploy.export.to_int8 import Limit, export_int8
from pocketvision.deploy.export.to_onnx import make_onnx
from pocketvision.deploy.formats import ExportOptions
from pocketvision.deploy.runtimes.graphs import make_graph
from pocketvision.deploy.runtimes.opening import open_runtime
from pocketvision.models import VisionModel

Exported = Callable[..., Path]
SUFFIXES = {"onnx": ".onnx", "openvino": ".xml"}


@pytest.mark.parametrize("format", SUFFIXES)
def test_a_detector_with_nms(
    models: dict[str, VisionModel], exported: Exported, images: Tensor, tmp_path: Path, format: str
) -> None:
    path = tmp_path / f"int8{SUFFIXES[format]}"
    export_int8(models["detection"], format, path, images, ExportOptions(nms=True))
    runtime = open_runtime(path)
    assert runtime.artifact.quantization is not None
    assert runtime.artifact.quantization.num_images == len(images)
    assert runtime.artifact.quantization.float_blocks == ()
    together = runtime(images)
    one_by_one = [runtime(image[None]) for image in images]
    for name, values in together.items():
        torch.testing.assert_close(values, torch.cat([one[name] for one in one_by_one]))
    original = open_runtime(exported("detection", format, nms=True))(images)
    assert (together["num_detections"] - original["num_detections"]).abs().max() <= 5
    assert relative_error([together["scores"]], [original["scores"]]) < 0.5
    report = json.loads(path.with_suffix(".sensitivity.json").read_text())
    assert report["num_images"] == len(images) and len(report["errors"]) > 3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("format", "task", "options"),
    [("onnx", "detection", {"nms": True}), ("openvino", "segmentation", {"label_map": True})],
)
def test_several_images_a_call(
    models: dict[str, VisionModel],
    images: Tensor,
    tmp_path: Path,
    format: str,
    task: str,
    options: dict[str, bool],
) -> None:
    """They are measured one by one, so that the file is the one for any number of images."""
    files = {}
    for batch in (None, 3):
        files[batch] = tmp_path / str(batch) / f"int8{SUFFIXES[format]}"
        files[batch].parent.mkdir()
        export_int8(models[task], format, files[batch], images, ExportOptions(batch=batch, **options))  # type: ignore[arg-type]
    runtime = open_runtime(files[3])
    assert runtime.artifact.batch == 3
    expected = open_runtime(files[None])(images)
    for name, values in runtime(images).items():
        torch.testing.assert_close(values, expected[name], atol=1e-3, rtol=1e-3)
    if format == "onnx":
        shapes = [value.type.tensor_type.shape.dim[0] for value in onnx.load(files[3]).graph.input]
        assert [shape.dim_value for shape in shapes] == [3]


@pytest.mark.parametrize("format", SUFFIXES)
def test_a_label_map(
    models: dict[str, VisionModel], exported: Exported, images: Tensor, tmp_path: Path, format: str
) -> None:
    path = tmp_path / f"int8{SUFFIXES[format]}"
    export_int8(models["segmentation"], format, path, images, ExportOptions(label_map=True, batch=1))
    found = open_runtime(path)(images)["label_map"]
    expected = open_runtime(exported("segmentation", format, label_map=True))(images)["label_map"]
    assert (found == expected).float().mean() > 0.8


def test_blocks_stay_float32_until_the_limit_holds(
    models: dict[str, VisionModel], images: Tensor, tmp_path: Path
) -> None:
    path = tmp_path / "mixed.onnx"

    def score(file: Path) -> float:
        """A point for every weight in float32."""
        model = onnx.load(file)
        int8 = {node.output[0] for node in model.graph.node if node.op_type == "DequantizeLinear"}
        return 0.9 - 0.01 * sum(node.op_type == "Conv" and node.input[1] in int8 for node in model.graph.node)

    export_int8(models["detection"], "onnx", tmp_path / "all.onnx", images, ExportOptions())
    max_drop = 0.9 - score(tmp_path / "all.onnx") - 0.015
    limit = Limit(lambda file: {"AP": score(file)}, max_drop)
    export_int8(models["detection"], "onnx", path, images, ExportOptions(), limit)
    quantization = open_runtime(path).artifact.quantization
    report = json.loads(path.with_suffix(".sensitivity.json").read_text())
    assert quantization is not None
    kept = quantization.float_blocks
    assert 1 <= len(kept) <= 2 and list(kept) == list(report["errors"])[: len(kept)] == report["float_blocks"]
    assert score(path) >= 0.9 - max_drop


def test_openvino_s_ranges_reach_over_all_images(models: dict[str, VisionModel], images: Tensor) -> None:
    model = models["detection"]
    raw = make_onnx(make_graph(model), plan_artifact(model, ExportOptions()))
    mostly_empty = torch.cat(
        [images, torch.full((9 * len(images), *images.shape[1:]), 90, dtype=torch.uint8)]
    )

    def highest(some: Tensor) -> dict[str, float]:
        """The upper ends of the ranges of activations."""
        made = OpenVinoQuantizer(raw, some).quantized(())
        return {
            op.get_friendly_name(): float(op.input_value(2).get_node().get_data().max())
            for op in made.get_ops()
            if op.get_type_name() == "FakeQuantize" and "weights" not in op.get_friendly_name()
        }

    alone, mixed = highest(images), highest(mostly_empty)
    assert len(alone) > 5 and alone.keys() == mixed.keys()
    assert all(mixed[name] > 0.95 * alone[name] for name in alone)


def test_scores_before_and_after_are_told_without_a_limit(
    models: dict[str, VisionModel], images: Tensor, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "pocketvision")
    scores = iter([0.6, 0.55])
    limit = Limit(lambda file: {"top1": next(scores)})
    export_int8(models["classification"], "onnx", tmp_path / "m.onnx", images, ExportOptions(), limit)
    assert "top1: float32 0.6000, int8 0.5500 (-0.0500)" in caplog.text
    assert "int8 costs 0.0500: limit it with --max-drop" in caplog.text
    assert not any("\n" in message for message in caplog.messages)  # a terminal gets lines one by one
    report = json.loads((tmp_path / "m.sensitivity.json").read_text())
    assert report["scores"] == {"float32": 0.6, "int8": 0.55} and report["float_blocks"] == []


def test_a_limit_that_can_not_be_kept_writes_nothing(
    models: dict[str, VisionModel], images: Tensor, tmp_path: Path
) -> None:
    path = tmp_path / "no.onnx"
    scores = iter([0.9, *[0.1] * 50])
    with pytest.raises(InputError, match=r"int8 loses 0\.8000 .* 0\.01 is asked for"):
        limit = Limit(lambda file: {"top1": next(scores)}, 0.01)
        export_int8(models["classification"], "onnx", path, images, ExportOptions(), limit)
    assert not list(tmp_path.iterdir())


def test_openvino_keeps_normalising_and_nms_in_float32(
    models: dict[str, VisionModel], images: Tensor
) -> None:
    model = models["detection"]
    whole = make_onnx(make_graph(model), plan_artifact(model, ExportOptions(nms=True)))
    quantizer = OpenVinoQuantizer(whole, images)
    made = quantizer.quantized(())
    by_name = {op.get_friendly_name(): op for op in made.get_ops()}
    readers = [
        target.get_node()
        for op in by_name.values()
        if op.get_type_name() == "FakeQuantize"
        for target in op.output(0).get_target_inputs()
    ]
    kinds = {reader.get_type_name() for reader in readers}
    assert "Convolution" in kinds or "GroupConvolution" in kinds
    assert not kinds & {"Subtract", "Divide"}
    assert not [reader for reader in readers if reader.get_friendly_name().startswith("nms_")]
    weights = [
        op
        for op in by_name.values()
        if op.get_type_name() == "Constant" and op.get_element_type().to_string() == "i8"
    ]
    assert len(weights) > 5
    nothing = quantizer.quantized(tuple(set(quantizer.weighted.values())))
    assert not [
        op
        for op in nothing.get_ops()
        if op.get_type_name() == "Constant" and op.get_element_type().to_string() == "i8"
    ]


def test_pt2_is_refused(models: dict[str, VisionModel], images: Tensor, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="pt2 can't be written in int8"):
        export_int8(models["detection"], "pt2", tmp_path / "m.pt2", images, ExportOptions())
