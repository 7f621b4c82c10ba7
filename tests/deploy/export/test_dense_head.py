"""Covers deploy/export/onnx_nms.py, deploy/export/to_onnx.py, deploy/runtimes/metadata.py, heads/gfl.py.

A dense head goes wherever SSD's does: every format, boxes inside or outside of the graph, int8, the web page.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pocketvision.backbones import WithPAN, mobilenet_v3_small
from pocketvision.core.anchors import CellAnchors
from pocketvision.core.boxes import box_iou
from pocketvision.core.distances import DistanceBoxCoder
from pocketvision.core.resize import Resize
from pocketvision.core.structures import Size
from pocketvision.deploy.export.to_file import export_model
from pocketvision.deploy.export.to_int8 import export_int8
from pocketvision.deploy.export.to_web import web_options
from pocketvision.deploy.formats import FORMATS, ExportOptions
from pocketvision.deploy.predict.predictor import Predictor
from pocketvision.deploy.runtimes.artifact import DETECTIONS
from pocketvision.deploy.runtimes.opening import open_runtime
from pocketvision.deploy.runtimes.torch_module import TorchRuntime
from pocketvision.heads import GFLHead
from pocketvision.models import Detector, SSDPostprocess

pytestmark = pytest.mark.slow

NAMES = ("cat", None, "dog")
SIZE = (64, 96)


@pytest.fixture(scope="module")
def model(as_trained: Callable[[nn.Module], nn.Module]) -> Detector:
    return dense(as_trained, SIZE)


def dense(as_trained: Callable[[nn.Module], nn.Module], size: Size) -> Detector:
    torch.manual_seed(0)
    detector = Detector(
        WithPAN(mobilenet_v3_small(width_mult=0.35, out_features=("c1", "c2", "c3")), channels=16),
        GFLHead,
        NAMES,
        Resize(size),
        CellAnchors(7.0),
        SSDPostprocess(max_detections=50, coder=DistanceBoxCoder()),
        score_function="sigmoid",
    )
    trained = as_trained(detector)
    assert isinstance(trained, Detector) and isinstance(trained.head, GFLHead)
    for block in (*trained.head.class_blocks, *trained.head.box_blocks):
        block.weight.data *= 60  # so that scores and boxes differ
    return trained


@pytest.mark.parametrize("nms", [False, True])
@pytest.mark.parametrize("format", ["onnx", "openvino", "pt2"])
def test_every_format_predicts_what_the_model_does(
    format: str, nms: bool, model: Detector, images: Tensor, tmp_path: Path
) -> None:
    if nms and format == "pt2":
        pytest.skip("pt2 has no boxes inside")
    file = export_model(model, format, tmp_path / f"m{FORMATS[format].suffix}", ExportOptions(nms=nms))
    runtime = open_runtime(file)
    assert runtime.artifact.has_nms == nms and runtime.artifact.postprocess == model.postprocess
    own, theirs = Predictor(TorchRuntime(model), threshold=0.02), Predictor(runtime, threshold=0.02)
    for image in images.permute(0, 2, 3, 1).numpy():
        expected, found = own(image), theirs(image)
        assert expected.boxes is not None and found.boxes is not None and len(expected.boxes) > 3
        assert len(found.boxes) == len(expected.boxes)
        np.testing.assert_allclose(found.boxes, expected.boxes, atol=0.05)
        np.testing.assert_allclose(found.scores, expected.scores, atol=1e-3)
        assert list(found.labels) == list(expected.labels)


@pytest.mark.parametrize("format", ["onnx", "openvino", "pt2", "ncnn"])
def test_maps_of_odd_sizes(format: str, as_trained: Callable[[nn.Module], nn.Module], tmp_path: Path) -> None:
    """8 rows enlarged to 15, and 9 columns to 17; ncnn's converter refused a cut that takes all."""
    if format == "ncnn":
        pytest.importorskip("pnnx")
    for size in ((60, 80), (60, 68)):
        model = dense(as_trained, size)
        file = export_model(model, format, tmp_path / f"m{size[1]}{FORMATS[format].suffix}")
        images = torch.randint(0, 256, (1, 3, *size), dtype=torch.uint8)
        found, expected = open_runtime(file)(images), TorchRuntime(model)(images)
        for name, output in expected.items():
            torch.testing.assert_close(found[name], output, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("format", ["onnx", "openvino"])
def test_int8_keeps_the_boxes(format: str, model: Detector, images: Tensor, tmp_path: Path) -> None:
    sized = torch.nn.functional.interpolate(images.float(), SIZE).to(torch.uint8)
    file = export_int8(model, format, tmp_path / f"m{FORMATS[format].suffix}", sized, ExportOptions())
    found, expected = open_runtime(file)(sized), TorchRuntime(model)(sized)
    boxes = [
        model.postprocess.coder.decode(outputs["box_deltas"], model(sized[:1]).anchors)
        for outputs in (found, expected)
    ]
    overlaps = torch.stack([box_iou(a, b).diagonal() for a, b in zip(*boxes, strict=True)])
    print(format, overlaps.mean(), overlaps.quantile(0.05))
    assert overlaps.mean() > 0.9
    scores = [outputs["class_logits"].sigmoid() for outputs in (found, expected)]
    print((scores[0] - scores[1]).abs().mean(), scores[1].std())
    assert (scores[0] - scores[1]).abs().mean() < 0.1 * scores[1].std()


def test_the_page_gets_boxes(model: Detector, tmp_path: Path) -> None:
    """The page decodes nothing: what it is given is the graph with boxes, whatever the head."""
    file = export_model(model, "onnx", tmp_path / "m.onnx", web_options(model))
    assert open_runtime(file).artifact.outputs == DETECTIONS
