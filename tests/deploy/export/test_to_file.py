"""Covers deploy/export/to_onnx.py, deploy/export/to_openvino.py, deploy/export/to_pt2.py,
deploy/export/trace.py, deploy/formats.py.

What exported files hold, and the sentences for what can't be exported or opened.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import onnx
import openvino
import pytest
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper
from torch import Tensor, nn

from pocketvision.core.errors import InputError
from pocketvision.core.resize import Resize
from pocketvision.deploy.export.to_file import export_model, written_files
from pocketvision.deploy.formats import ExportOptions
from pocketvision.deploy.runtimes.described import placed_anchors
from pocketvision.deploy.runtimes.graphs import make_graph
from pocketvision.deploy.runtimes.opening import open_runtime
from pocketvision.deploy.runtimes.openvino_model import openvino_core
from pocketvision.models import VisionModel

Exported = Callable[..., Path]


def num_weights(model: VisionModel) -> int:
    return sum(value.numel() for value in make_graph(model).parameters())


def test_onnx_holds_weights_and_metadata_and_little_else(
    models: dict[str, VisionModel], exported: Exported
) -> None:
    path = exported("detection", "onnx")
    model = onnx.load(path)
    counts = Counter(node.op_type for node in model.graph.node)
    known = {"Cast", "Sub", "Div", "Conv", "Pad", "HardSwish", "Relu", "Clip", "Add", "Concat", "Transpose",
             "Reshape", "ReduceMean", "HardSigmoid", "Mul"}  # fmt: skip
    assert set(counts) <= known, "no leftovers of tracing"
    num_convs = sum(isinstance(layer, nn.Conv2d) for layer in make_graph(models["detection"]).modules())
    assert counts["Conv"] == num_convs and counts["Sub"] == counts["Cast"] == 1
    assert not any(node.metadata_props or node.doc_string for node in model.graph.node)
    (metadata,) = model.metadata_props
    notes = len(metadata.value)
    assert path.stat().st_size < num_weights(models["detection"]) * 4 * 1.02 + notes + 30_000
    (images,) = model.graph.input
    dimensions = [d.dim_param or d.dim_value for d in images.type.tensor_type.shape.dim]
    assert images.name == "images" and images.type.tensor_type.elem_type == TensorProto.UINT8
    assert dimensions == ["batch", 3, 64, 80]
    assert [output.name for output in model.graph.output] == ["class_logits", "box_deltas"]
    assert b"site-packages" not in path.read_bytes(), "no paths of this machine"


def test_padding_is_zero_after_the_mean(models: dict[str, VisionModel], exported: Exported) -> None:
    """The first convolution's input is normalized in the graph: a black border differs from the padding."""
    model = onnx.load(exported("segmentation", "onnx"))
    order = [node.op_type for node in model.graph.node][:5]
    assert order[:3] == ["Cast", "Sub", "Div"] and order[3] in ("Pad", "Conv")


def test_metadata_by_each_format_s_own_tools(exported: Exported, models: dict[str, VisionModel]) -> None:
    onnx_path = exported("detection", "onnx", nms=True)
    (metadata,) = onnx.load(onnx_path).metadata_props
    openvino_path = exported("detection", "openvino", nms=True)
    rt_info = openvino_core().read_model(openvino_path).get_rt_info("pocketvision").astype(str)
    extra = {"pocketvision": ""}
    torch.export.load(exported("classification", "pt2"), extra_files=extra)
    for text, task in (
        (metadata.value, "detection"),
        (rt_info, "detection"),
        (extra["pocketvision"], "classification"),
    ):
        values = json.loads(text)
        assert values["task"] == task and values["class_names"] == ["cat", None, "dog", "owl"]
        assert values["licence"] == "Apache-2.0" and values["source"] == "test"
        assert len(values["weights_sha256"]) == 64 and values["resize"]["image_size"] == [64, 80]
    assert json.loads(rt_info)["postprocess"]["max_detections"] == 50
    assert json.loads(rt_info)["anchors"] is None, "they are in the graph"
    (raw,) = onnx.load(exported("detection", "onnx")).metadata_props
    anchors = json.loads(raw.value)["anchors"]
    placed = placed_anchors(models["detection"])  # type: ignore[arg-type]
    assert torch.equal(torch.tensor(anchors), torch.tensor(placed)) and len(anchors[0]) == 4


def test_pt2_holds_no_images(models: dict[str, VisionModel], tmp_path: Path) -> None:
    """At 640x640 the two images of the trace would be larger than the model."""
    model = deepcopy(models["classification"])
    model.resize = Resize((640, 640), mode="crop")
    path = export_model(model, "pt2", tmp_path / "m.pt2", ExportOptions(batch=2))
    assert path.stat().st_size < 2 * 3 * 640 * 640 / 2


RUN_BARE = """
import sys, torch
images = torch.arange(2 * 3 * 64 * 80, dtype=torch.int64).remainder(251).to(torch.uint8).view(2, 3, 64, 80)
(class_logits,) = torch.export.load(sys.argv[1]).module()(images)
torch.save(class_logits, sys.argv[2])
assert not any(name.startswith("pocketvision") for name in sys.modules)
"""


def test_pt2_needs_nothing_but_torch(
    models: dict[str, VisionModel], exported: Exported, tmp_path: Path
) -> None:
    result = tmp_path / "out.pt"
    command = [sys.executable, "-c", RUN_BARE, str(exported("classification", "pt2")), str(result)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    images = torch.arange(2 * 3 * 64 * 80).remainder(251).to(torch.uint8).view(2, 3, 64, 80)
    with torch.no_grad():
        torch.testing.assert_close(torch.load(result), models["classification"](images), atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize(
    ("task", "format", "name", "options", "sentence"),
    [
        ("detection", "tensorrt", "m.engine", {}, "no format 'tensorrt': choose from onnx, openvino, pt2"),
        ("detection", "litert", "m.tflite", {"nms": True}, "litert has no operator for NMS"),
        ("segmentation", "litert", "m.tflite", {"dynamic_size": True}, "litert takes images of one size"),
        ("detection", "litert", "m.tflite", {"int8": True, "float16": True}, "--int8 and --float16 are two"),
        ("detection", "onnx", "m.onnx", {"float16": True}, "onnx can't be written with float16"),
        ("detection", "executorch", "m.pte", {"nms": True}, "executorch has no operator for NMS"),
        (
            "segmentation",
            "executorch",
            "m.pte",
            {"dynamic_size": True},
            "executorch takes images of one size",
        ),
        ("detection", "coreml", "m.xml", {}, "m.xml would not be taken for coreml"),
        ("detection", "onnx", "m.xml", {}, "m.xml would not be taken for onnx: name it with .onnx"),
        ("detection", "pt2", "m.pt2", {"nms": True}, "pt2 has no operator for NMS"),
        ("detection", "onnx", "m.onnx", {"dynamic_size": True}, "anchors belong to one image size"),
        ("detection", "onnx", "m.onnx", {"label_map": True}, "--labels is for segmenters"),
        ("detection", "onnx", "m.onnx", {"nms": True, "label_map": True}, "leave one out"),
        ("detection", "onnx", "m.onnx", {"batch": 0}, "The batch size is 0"),
        ("segmentation", "onnx", "m.onnx", {"nms": True}, "--nms is for detectors"),
    ],
)
def test_what_can_t_be_exported(
    task: str,
    format: str,
    name: str,
    options: dict[str, object],
    sentence: str,
    models: dict[str, VisionModel],
    tmp_path: Path,
) -> None:
    with pytest.raises(InputError, match=sentence):
        export_model(models[task], format, tmp_path / name, ExportOptions(**options))  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize(("format", "label_map"), [("onnx", True), ("openvino", False), ("pt2", False)])
def test_a_segmenter_for_images_of_any_size(
    format: str, label_map: bool, models: dict[str, VisionModel], exported: Exported
) -> None:
    """Its gate's windows are as many as the image asks for; small maps have one."""
    model = models["segmentation"]
    runtime = open_runtime(exported("segmentation", format, dynamic_size=True, label_map=label_map))
    for size in ((64, 80), (96, 33), (440, 260)):
        images = (torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0)) * 255).to(torch.uint8)
        with torch.no_grad():
            expected = model(images)
        found = runtime(images)[runtime.artifact.outputs[0]]
        if label_map:
            expected = F.interpolate(expected, size, mode="bilinear")[:, [0, 2, 3]].argmax(dim=1)
            assert (found == torch.tensor([0, 2, 3])[expected]).float().mean() > 0.999
        else:
            torch.testing.assert_close(found, expected, atol=1e-3, rtol=1e-3)


def test_a_model_that_can_t_be_traced(models: dict[str, VisionModel], tmp_path: Path) -> None:
    class Stubborn(nn.Module):
        def forward(self, features: dict[str, Tensor]) -> Tensor:
            return features["c2"] * float(features["c2"].mean())

    model = models["classification"]
    head, model.head = model.head, Stubborn()
    try:
        with pytest.raises(InputError, match="This model can't be exported"):
            export_model(model, "pt2", tmp_path / "m.pt2")
    finally:
        model.head = head


@pytest.mark.parametrize(
    ("package", "format", "extra"),
    [("onnx", "onnx", "export"), ("onnxscript", "onnx", "export"), ("openvino", "openvino", "openvino")],
)
def test_a_missing_package(
    package: str,
    format: str,
    extra: str,
    models: dict[str, VisionModel],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    path = tmp_path / ("m.onnx" if format == "onnx" else "m.xml")
    with pytest.raises(InputError, match=rf'{package} is missing: .*"pocketvision\[{extra}\]"'):
        export_model(models["detection"], format, path)


def test_a_missing_runtime(exported: Exported, monkeypatch: pytest.MonkeyPatch) -> None:
    path = exported("segmentation", "onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(InputError, match=r'onnxruntime is missing: .*"pocketvision\[export\]"'):
        open_runtime(path)


@pytest.mark.parametrize("suffix", [".onnx", ".xml", ".pt2"])
@pytest.mark.parametrize("content", [b"", b"not a model at all", bytes(range(256)) * 20])
def test_broken_files(suffix: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / f"m{suffix}"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"m{suffix} (can't be opened|was not exported)"):
        open_runtime(path)


@pytest.mark.parametrize(("task", "format"), [("segmentation", "onnx"), ("classification", "pt2")])
def test_truncated_files(task: str, format: str, exported: Exported, tmp_path: Path) -> None:
    whole = exported(task, format)
    path = tmp_path / whole.name
    path.write_bytes(whole.read_bytes()[:-1000])
    with pytest.raises(InputError, match="can't be opened"):
        open_runtime(path)


def test_files_of_another_project(tmp_path: Path) -> None:
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", values[:1], values[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, tmp_path / "m.onnx")
    openvino.save_model(openvino_core().read_model(tmp_path / "m.onnx"), tmp_path / "m.xml")
    torch.export.save(torch.export.export(nn.ReLU(), (torch.zeros(1),)), tmp_path / "m.pt2")
    for name in ("m.onnx", "m.xml", "m.pt2"):
        with pytest.raises(InputError, match=f"{name} was not exported by pocketvision"):
            open_runtime(tmp_path / name)


def test_nothing_there_and_nothing_for_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"There is no exported model .*m.onnx"):
        open_runtime(tmp_path / "m.onnx")
    with pytest.raises(InputError, match=r"m.engine is no model that can be run here: give .onnx, .xml"):
        open_runtime(tmp_path / "m.engine")
    with pytest.raises(InputError, match=r"m.mlpackage runs on Apple's systems only"):
        open_runtime(tmp_path / "m.mlpackage")


def test_an_openvino_file_without_its_weights(exported: Exported, tmp_path: Path) -> None:
    xml, weights = written_files(exported("detection", "openvino", nms=True))
    assert weights.is_file()
    path = tmp_path / "m.xml"
    path.write_bytes(xml.read_bytes())
    with pytest.raises(InputError, match=r"m\.xml can't be opened"):
        open_runtime(path)
