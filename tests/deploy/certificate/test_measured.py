"""Covers deploy/certificate/agreement.py, deploy/certificate/device_costs.py,
deploy/certificate/document.py, deploy/certificate/inner_graphs.py, deploy/certificate/side_by_side.py,
deploy/certificate/stages.py, deploy/certificate/verdict.py.

Certificates: a good file passes, and in a damaged one the right stage is named.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import torch
from torch import Tensor

from pocketvision.core.structures import Detections
from pocketvision.deploy.certificate.agreement import LOOSE, STRICT, make_agreement, matched
from pocketvision.deploy.certificate.device_costs import measure
from pocketvision.deploy.certificate.document import write_certificate_page
from pocketvision.deploy.certificate.images import ImageSet
from pocketvision.deploy.certificate.measured import Certificate, to_dict, write_certificate
from pocketvision.deploy.certificate.side_by_side import ExportComparison, compare
from pocketvision.deploy.certificate.stages import StageDifference
from pocketvision.deploy.certificate.verdict import Stage, judge, judge_stages
from pocketvision.deploy.runtimes.artifact import Quantization
from pocketvision.models import VisionModel

Exported = Callable[..., Path]
Models = dict[str, VisionModel]


@pytest.fixture(scope="module")
def images(images: Tensor, tmp_path_factory: pytest.TempPathFactory) -> ImageSet:
    """Six files of other sizes than the models' input, so that the last batch is smaller."""
    folder = tmp_path_factory.mktemp("images")
    paths = []
    for index in range(6):
        picture = np.roll(images[index % 4].permute(1, 2, 0).numpy(), 7 * index, axis=1)
        paths.append(str(folder / f"{index}.png"))
        cv2.imwrite(paths[-1], cv2.resize(picture, (90 + 10 * index, 70)))
    return ImageSet(tuple(paths), 6, str(folder))


def damaged(path: Path, target: Path, change: Callable[[onnx.ModelProto], None]) -> Path:
    model = onnx.load(str(path))
    change(model)
    onnx.save(model, str(target))
    return target


def scaled(name: str, factor: float) -> Callable[[onnx.ModelProto], None]:
    """Multiplies the constants whose names contain ``name``."""

    def change(model: onnx.ModelProto) -> None:
        found = [item for item in model.graph.initializer if name in item.name]
        assert found
        for item in found:
            values = onnx.numpy_helper.to_array(item) * np.array(factor, dtype=np.float32)
            item.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float32), item.name))

    return change


def other_resize(model: onnx.ModelProto) -> None:
    (item,) = model.metadata_props
    values = json.loads(item.value)
    values["resize"]["interpolation"] = "nearest"
    item.value = json.dumps(values)


def first_divergence(comparison: ExportComparison) -> str | None:
    stages = judge_stages(comparison, "float32")
    return next((stage.name for stage in stages if stage.is_within is False), None)


def failed(comparison: ExportComparison) -> list[str]:
    stages = judge_stages(comparison, "float32")
    return [check.text for check in judge(comparison, stages, "float32") if not check.passed]


@pytest.mark.parametrize(
    ("task", "format", "options", "visible"),
    [
        ("detection", "onnx", {"nms": True}, "normalize backbone head decode"),
        ("detection", "onnx", {}, "normalize backbone head decode"),
        ("detection", "openvino", {"nms": True}, "normalize backbone head decode"),
        ("detection", "pt2", {}, "head decode"),
        ("segmentation", "onnx", {"label_map": True}, "normalize backbone head"),
        ("segmentation", "openvino", {"label_map": True}, "normalize backbone head"),
        ("segmentation", "onnx", {"input_type": "float", "batch": 2}, "normalize backbone head"),
        ("classification", "onnx", {}, "normalize backbone head scores"),
    ],
)
def test_a_good_file_says_what_torch_says(
    task: str,
    format: str,
    options: dict[str, object],
    visible: str,
    models: Models,
    exported: Exported,
    images: ImageSet,
) -> None:
    comparison = compare(models[task], exported(task, format, **options), images)
    stages = {stage.name: stage for stage in judge_stages(comparison, "float32")}
    assert {name for name, stage in stages.items() if stage.max_abs is not None} == {
        "resize",
        *visible.split(),
    }
    assert first_divergence(comparison) is None and failed(comparison) == []
    assert all(seen == there for seen, there in comparison.num_tensors.values())
    assert min(comparison.agreement.shares().values()) >= 0.995
    hidden = {"normalize", "backbone"} - {*visible.split()}
    assert all(stages[name].note == "not visible in this format" for name in hidden)


@pytest.mark.parametrize(
    ("change", "stage"),
    [
        (other_resize, "resize"),
        (scaled("normalize.mean", 1.1), "normalize"),
        (scaled("backbone.blocks.0.project.conv.weight", 1.1), "backbone"),
        (scaled("head.class_blocks.1.1.weight", 1.1), "head"),
        (scaled("nms_anchor_half", 1.2), "decode"),
        (scaled("nms_iou_threshold", 0.2), "NMS"),
    ],
)
def test_the_damaged_stage_of_a_detector_is_named(
    change: Callable[[onnx.ModelProto], None],
    stage: str,
    models: Models,
    exported: Exported,
    images: ImageSet,
    tmp_path: Path,
) -> None:
    path = damaged(exported("detection", "onnx", nms=True), tmp_path / "damaged.onnx", change)
    comparison = compare(models["detection"], path, images)
    assert first_divergence(comparison) == stage
    assert failed(comparison)


def test_the_damaged_stage_of_a_segmenter_is_named(
    models: Models, exported: Exported, images: ImageSet, tmp_path: Path
) -> None:
    good = exported("segmentation", "onnx", label_map=True)
    for name, stage in (("normalize.std", "normalize"), ("head.high_logits", "head")):
        path = damaged(good, tmp_path / f"{stage}.onnx", scaled(name, 1.3))
        comparison = compare(models["segmentation"], path, images)
        assert first_divergence(comparison) == stage
        assert any("pixels of the same class" in text for text in failed(comparison))


def test_extra_boxes_are_found_out(
    models: Models, exported: Exported, images: ImageSet, tmp_path: Path
) -> None:
    """A file without suppression has all of PyTorch's boxes."""
    change = scaled("nms_iou_threshold", 1.8)
    path = damaged(exported("detection", "onnx", nms=True), tmp_path / "damaged.onnx", change)
    shares = compare(models["detection"], path, images).agreement.shares()
    assert shares["box_match_back"] < 0.9


def test_int8_is_judged_by_the_truth(models: Models, exported: Exported, images: ImageSet) -> None:
    path = exported("detection", "onnx", nms=True)
    comparison = compare(models["detection"], path, images)
    comparison.artifact = replace(comparison.artifact, quantization=Quantization(8))
    comparison.differences["head"].max_abs = 5.0
    stages = judge_stages(comparison, "int8")
    assert {stage.name for stage in stages if stage.is_within is not None} == {"resize", "normalize"}
    assert all(check.passed for check in judge(comparison, stages, "int8"))
    for fall, passes in ((0.009, True), (0.011, False), (-0.2, True)):
        comparison.torch_score, comparison.artifact_score = 0.5, 0.5 - fall
        assert judge(comparison, stages, "int8")[-1].passed == passes
        assert judge(comparison, stages, "float32")[-1].passed is False


def test_the_score_of_a_net_that_finds_nothing_yet_is_not_judged(
    models: Models, exported: Exported, images: ImageSet
) -> None:
    """Boxes of scores like 0.01 are ordered by rounding; one box above the floor, on either side, counts."""
    comparison = compare(models["detection"], exported("detection", "onnx", nms=True), images)
    comparison.torch_score, comparison.artifact_score = 0.0060, 0.0046
    assert failed(comparison) == ["AP changes by -0.0014 (limit 0.001)"]
    comparison.agreement = make_agreement("detection")
    assert not failed(comparison)
    checks = judge(comparison, judge_stages(comparison, "float32"), "float32")
    assert checks[-1].text.endswith("not judged, no box scores above 0.05 yet")
    box = Detections(torch.tensor([[0.0, 0, 9, 9]]), torch.tensor([0.5]), torch.tensor([0]))
    comparison.agreement.add(Detections(box.boxes[:0], box.scores[:0], box.labels[:0]), box)
    assert "AP changes by -0.0014 (limit 0.001)" in failed(comparison)


def test_what_a_certificate_holds(
    models: Models, exported: Exported, images: ImageSet, tmp_path: Path
) -> None:
    path, model = exported("segmentation", "onnx"), models["segmentation"]
    comparison = compare(model, path, images)
    stages = tuple(judge_stages(comparison, "float32"))
    checks = tuple(judge(comparison, stages, "float32"))
    certificate = Certificate(path, "float32", images, comparison, stages, checks, measure(model, path))
    write_certificate(certificate, tmp_path / "c.json")
    written = json.loads((tmp_path / "c.json").read_text())
    assert written == json.loads(json.dumps(to_dict(certificate))) and written["passed"] is True
    assert written["bytes"]["artifact"] == path.stat().st_size and written["first_divergence"] is None
    assert 0 < written["latency"]["artifact"]["median"] <= written["latency"]["artifact"]["p90"]
    assert 3 <= written["latency"]["rounds"] <= 20
    assert all(megabytes > 1e6 for megabytes in written["peak_memory"].values())
    assert written["images"] == {
        "from": images.place,
        "compared": 6,
        "available": 6,
        "with_truth": False,
    }
    broken = replace(certificate, stages=(Stage("head", float("inf"), float("inf"), 1e-3, False, "NaN"),))
    assert to_dict(broken)["stages"][0]["max_abs"] is None and broken.first_divergence == "head"
    write_certificate_page(certificate, tmp_path / "c.html")
    page = (tmp_path / "c.html").read_text()
    assert certificate.verdict in page and 'class="good"' in page and "data:image/jpeg" in page
    assert "://" not in page


def test_boxes_match_one_to_one() -> None:
    boxes = torch.tensor([[0.0, 0, 100, 100], [0, 0, 100, 100.5], [200, 0, 300, 100], [0, 0, 9, 9]])
    ours = Detections(boxes, torch.tensor([0.9, 0.8999, 0.5, 0.04]), torch.tensor([0, 0, 1, 1]))
    assert matched(ours, ours, STRICT) == (3, 3)
    one = Detections(*(value[:1] for value in ours))
    assert matched(ours, one, STRICT) == (1, 3) and matched(one, ours, STRICT) == (1, 1)
    assert matched(ours, ours._replace(labels=1 - ours.labels), LOOSE) == (0, 3)
    assert matched(ours, ours._replace(scores=ours.scores + 0.02), STRICT) == (0, 3)
    assert matched(ours, ours._replace(scores=ours.scores + 0.02), LOOSE) == (3, 3)
    assert matched(Detections(*(value[:0] for value in ours)), ours, STRICT) == (0, 0)
    agreement = make_agreement("detection")
    assert agreement.shares() == {"box_match": 1.0, "box_match_back": 1.0, "box_match_loose": 1.0}
    agreement.add(ours, one)  # type: ignore[arg-type]
    assert agreement.shares()["box_match"] == pytest.approx(1 / 3)
    assert agreement.shares()["box_match_back"] == 1.0


def test_differences_see_what_is_not_a_number() -> None:
    difference = StageDifference()
    difference.add(torch.tensor([3.0, 4.0]), torch.tensor([3.0, 4.5]))
    assert difference.max_abs == 0.5 and difference.relative == pytest.approx(0.1)
    difference.add(torch.tensor([1.0]), torch.tensor([float("nan")]))
    assert difference.max_abs == float("inf")
    other = StageDifference()
    other.add(torch.zeros(2), torch.zeros(3))
    assert other.max_abs == float("inf") and other.relative == float("inf")
