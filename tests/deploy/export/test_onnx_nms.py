"""NMS in ONNX operators against SSDPostprocess, without a model before it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper
from torch import Tensor

from pocketvision.core.boxes import box_iou
from pocketvision.core.distances import DistanceBoxCoder
from pocketvision.core.errors import InputError
from pocketvision.core.resize import Resize
from pocketvision.core.structures import DetectionBatch, DetectionOutput, Detections
from pocketvision.deploy.export.onnx_nms import add_nms
from pocketvision.deploy.runtimes.artifact import DETECTIONS, Artifact
from pocketvision.deploy.runtimes.openvino_model import openvino_core
from pocketvision.models import SSDPostprocess

SIZE = (200, 260)


def random_anchors(count: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    corner = torch.rand(count, 2, generator=generator) * 180
    return torch.cat((corner, corner + 10 + torch.rand(count, 2, generator=generator) * 80), dim=-1)


def random_output(num_images: int, anchors: Tensor, num_outputs: int) -> DetectionOutput:
    generator = torch.Generator().manual_seed(1)
    return DetectionOutput(
        torch.randn(num_images, len(anchors), num_outputs, generator=generator) * 3,
        torch.randn(num_images, len(anchors), 4, generator=generator),
        anchors,
    )


def make_artifact(postprocess: SSDPostprocess, anchors: Tensor, num_classes: int) -> Artifact:
    names = tuple(None if i in postprocess.reserved_labels else f"class {i}" for i in range(num_classes))
    return Artifact(
        task="detection",
        class_names=names,
        resize=Resize(SIZE),
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        outputs=DETECTIONS,
        weights_sha256="",
        anchors=tuple(map(tuple, anchors.tolist())),  # type: ignore[arg-type]
        postprocess=postprocess,
    )


def make_model(artifact: Artifact, num_outputs: int) -> onnx.ModelProto:
    """Raw outputs go in, so that nothing but the NMS is in the graph."""
    widths = {"class_logits": num_outputs, "box_deltas": 4}
    anchors = len(artifact.anchor_boxes)
    inputs = [
        helper.make_tensor_value_info(f"raw_{name}", TensorProto.FLOAT, ["batch", anchors, width])
        for name, width in widths.items()
    ]
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", anchors, width])
        for name, width in widths.items()
    ]
    nodes = [helper.make_node("Identity", [f"raw_{name}"], [name]) for name in widths]
    graph = helper.make_graph(nodes, "raw", inputs, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    add_nms(model, artifact)
    onnx.checker.check_model(model, full_check=True)
    return model


def run(model: onnx.ModelProto, output: DetectionOutput, runtime: str, folder: Path) -> DetectionBatch:
    arrays = [output.class_logits.numpy(), output.box_deltas.numpy()]
    if runtime == "onnx":
        session = onnxruntime.InferenceSession(model.SerializeToString())
        found: Any = session.run(None, dict(zip(("raw_class_logits", "raw_box_deltas"), arrays, strict=True)))
    else:
        onnx.save(model, folder / "nms.onnx")
        compiled = openvino_core().compile_model(folder / "nms.onnx", "CPU")
        results = compiled(arrays)
        found = [results[i] for i in range(4)]
    return DetectionBatch(*(torch.from_numpy(array.copy()) for array in found))


def assert_matched(found: Detections, expected: Detections) -> None:
    """At least 99.5 % one to one, at IoU 0.99 and 1e-3 of the score."""
    assert len(found.scores) == len(expected.scores)
    is_same = box_iou(found.boxes, expected.boxes) >= 0.99
    is_same |= (found.boxes[:, None] - expected.boxes).abs().amax(dim=-1) < 1e-2  # of no area
    is_same &= found.labels[:, None] == expected.labels
    is_same &= (found.scores[:, None] - expected.scores).abs() <= 1e-3
    for dim in (0, 1):
        assert is_same.any(dim=dim).sum() >= 0.995 * len(expected.scores)
    assert (found.scores.diff() <= 0).all(), "best first"


CASES = {
    "softmax": SSDPostprocess(),
    "few best of a class": SSDPostprocess(candidates_per_class=20, iou_threshold=0.8),
    "few boxes": SSDPostprocess(score_threshold=0.6, max_detections=40),
    "all are kept": SSDPostprocess(score_threshold=0.2, iou_threshold=1.0, max_detections=100),
    "sigmoid": SSDPostprocess(score_function="sigmoid", score_threshold=0.3),
    "reserved": SSDPostprocess(reserved_labels=(0, 3)),
    "distances": SSDPostprocess(
        score_function="sigmoid", coder=DistanceBoxCoder(), score_threshold=0.3, max_detections=200
    ),
}


@pytest.mark.parametrize("runtime", ["onnx", "openvino"])
@pytest.mark.parametrize("case", CASES)
def test_equals_the_postprocess(case: str, runtime: str, tmp_path: Path) -> None:
    postprocess, num_classes = CASES[case], 6
    num_outputs = num_classes + (postprocess.score_function == "softmax")
    anchors = random_anchors(250)
    model = make_model(make_artifact(postprocess, anchors, num_classes), num_outputs)
    for num_images in (1, 4):
        output = random_output(num_images, anchors, num_outputs)
        if num_images == 4:  # one image is full, one has a single candidate, one nothing
            output.class_logits[1:3] = -20
            if postprocess.score_function == "softmax":
                output.class_logits[1:3, :, -1] = 0
            output.class_logits[1, 17, 1] = 9
        found, expected = run(model, output, runtime, tmp_path), postprocess(output, SIZE)
        assert found.num_detections.tolist() == expected.num_detections.tolist()
        assert found.labels.dtype == found.num_detections.dtype == torch.int64
        size = found.scores.shape[1]
        assert size == min(postprocess.max_detections, 250 * num_classes)
        assert found.boxes.shape == (num_images, size, 4)
        for ours, reference in zip(found.unpad(), expected.unpad(), strict=True):
            assert_matched(ours, reference)
        for image, count in enumerate(found.num_detections.tolist()):
            assert (found.scores[image, count:] == 0).all() and (found.labels[image, count:] == -1).all()
            assert (found.boxes[image, count:] == 0).all()


def test_cases_differ_in_what_they_try() -> None:
    """The limit on a class's candidates and the image's share of boxes matter here."""
    anchors = random_anchors(250)
    output = random_output(1, anchors, 7)
    limited = CASES["few best of a class"]
    unlimited = replace(limited, candidates_per_class=300)
    assert limited(output, SIZE).num_detections < unlimited(output, SIZE).num_detections
    assert int(CASES["few boxes"](output, SIZE).num_detections) == 40


def test_fewer_pairs_than_detections(tmp_path: Path) -> None:
    anchors = random_anchors(3)
    postprocess = SSDPostprocess(iou_threshold=0.9)
    model = make_model(make_artifact(postprocess, anchors, 2), 3)
    output = random_output(2, anchors, 3)
    found, expected = run(model, output, "onnx", tmp_path), postprocess(output, SIZE)
    assert found.scores.shape == (2, 6)
    for ours, reference in zip(found.unpad(), expected.unpad(), strict=True):
        assert_matched(ours, reference)


def test_another_box_coder() -> None:
    class Corners:
        def encode(self, boxes: Tensor, anchors: Tensor) -> Tensor:
            return boxes - anchors

        def decode(self, deltas: Tensor, anchors: Tensor) -> Tensor:
            return anchors + deltas

    artifact = make_artifact(SSDPostprocess(coder=Corners()), random_anchors(3), 2)
    with pytest.raises(InputError, match="SSD's box coder and distances"):
        make_model(artifact, 3)
