"""Covers deploy/export/to_file.py, costs/tables.py: files whose blocks run in groups of channels."""

from __future__ import annotations

from functools import partial
from math import prod
from pathlib import Path

import onnx
import onnxruntime
import pytest
import torch

from pocketvision.backbones import mobilenet_v2, mobilenet_v3_small
from pocketvision.core.errors import InputError
from pocketvision.core.resize import Resize
from pocketvision.costs.splitting import ChosenSplit, plan_split
from pocketvision.costs.tables import split_table
from pocketvision.deploy.export.to_file import export_model
from pocketvision.deploy.formats import ExportOptions, check_format
from pocketvision.deploy.runtimes.graphs import make_graph
from pocketvision.deploy.runtimes.opening import open_runtime
from pocketvision.heads import ClassifierHead
from pocketvision.models import Classifier

SIZE = (96, 64)
GROUPS = 3
IN_PLACE = {"Clip", "Add", "Sub", "Div", "Cast"}
"""Operators that write over their first input, once nothing else reads it."""


@pytest.fixture(scope="module")
def model() -> Classifier:
    torch.manual_seed(0)
    backbone = mobilenet_v2(width_mult=0.5, out_features=("c2",))
    head = partial(ClassifierHead, feature="c2")
    return Classifier(backbone, head, ("cat", "dog"), Resize(SIZE, mode="crop")).eval()


def live_peak(path: Path) -> int:
    """The largest sum in bytes of the tensors alive in a float32 graph, node by node in the file's order."""
    graph = onnx.shape_inference.infer_shapes(onnx.load(path)).graph
    sizes = {
        value.name: 4 * prod(dimension.dim_value for dimension in value.type.tensor_type.shape.dim)
        for value in (*graph.input, *graph.value_info, *graph.output)
    }
    last = {name: number for number, node in enumerate(graph.node) for name in node.input}
    alive, peak = {graph.input[0].name}, 0
    for number, node in enumerate(graph.node):
        dying = {name for name in node.input if last[name] == number}
        written = set(node.output)
        if node.op_type in IN_PLACE and node.input[0] in dying:
            alive.remove(node.input[0])
        alive |= written
        peak = max(peak, sum(sizes[name] for name in alive))
        alive -= dying
    return peak


@pytest.mark.parametrize("format", ["onnx", "pt2"])
def test_a_split_file_answers_as_the_whole(model: Classifier, tmp_path: Path, format: str) -> None:
    images = torch.randint(0, 256, (2, 3, *SIZE), dtype=torch.uint8)
    options = ExportOptions(split=GROUPS)
    path = export_model(model, format, tmp_path / f"split.{format}", options)
    with torch.no_grad():
        (expected,) = make_graph(model)(images)
    (found,) = open_runtime(path)(images).values()
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_onnx_runtime_holds_one_group_at_a_time(model: Classifier, tmp_path: Path) -> None:
    """In the order and with the operators that its optimizer leaves, memory is what was counted."""
    plan = plan_split(make_graph(model), SIZE, GROUPS)
    peaks = []
    for split in (None, GROUPS):
        path = export_model(
            model, "onnx", tmp_path / f"{split}.onnx", ExportOptions(batch=1, input_type="float", split=split)
        )
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(tmp_path / f"optimized_{split}.onnx")
        onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        peaks.append(live_peak(Path(options.optimized_model_filepath)))
    assert peaks == pytest.approx([plan.peak_before, plan.peak_after], rel=0.05)
    assert peaks[1] < 0.7 * peaks[0]


def test_what_splitting_does_not_help_is_said(tmp_path: Path) -> None:
    backbone = mobilenet_v3_small(width_mult=0.35, out_features=("c2",))
    small = Classifier(backbone, partial(ClassifierHead, feature="c2"), ("cat", "dog"), Resize(SIZE))
    with pytest.raises(InputError, match="leave --split out"):
        export_model(small, "onnx", tmp_path / "m.onnx", ExportOptions(split=4))
    with pytest.raises(InputError, match="from 2"):
        check_format("onnx", tmp_path / "m.onnx", ExportOptions(split=1))
    with pytest.raises(InputError, match="graphs in float"):
        check_format("onnx", tmp_path / "m.onnx", ExportOptions(split=2, int8=True))
    plan = plan_split(make_graph(small), SIZE, 4)
    assert split_table(ChosenSplit(plan, {2: 0.5})).endswith("splitting would take too long")
