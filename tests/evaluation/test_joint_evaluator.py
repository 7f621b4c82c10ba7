"""A model of two tasks is scored as two models of one: the same numbers, in one result."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch

from pocketvision.backbones import WithExtraBlocks, mobilenet_v3_small
from pocketvision.core.resize import Resize
from pocketvision.datasets import CocoDataModule, JointDataModule, MaskFolderDataModule
from pocketvision.evaluation.evaluate import evaluate
from pocketvision.evaluation.joint_evaluator import MEAN_SCORE, JointMetric
from pocketvision.heads import LRASPPHead, SSDLiteHead
from pocketvision.models import Detector, JointModel, Segmenter, SharedBackbone

MAP = tuple(f"class {number}" for number in range(12))
CPU = torch.device("cpu")


def test_the_numbers_are_those_of_each_task(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    torch.manual_seed(0)
    body = mobilenet_v3_small(width_mult=0.35, out_features=("c3_depthwise", "c4_expand", "last"))
    boxes = WithExtraBlocks(SharedBackbone(body, ("c4_expand", "last")), channels=(64,))
    model = JointModel(
        body,
        Detector(boxes, SSDLiteHead, ("cat", "owl"), Resize((64, 96))),
        Segmenter(SharedBackbone(body, ("c3_depthwise", "last")), LRASPPHead, MAP, Resize((64, 96))),
    )
    data = JointDataModule(
        {
            "detection": partial(CocoDataModule, root=tiny("coco")),
            "segmentation": partial(MaskFolderDataModule, root=tiny("masks"), class_names=MAP),
        },
        batch_size=2, num_workers=0,
    )  # fmt: skip
    data.connect(model.class_names, model.resize)
    folder = tmp_path / "joint"
    folder.mkdir()
    metrics = evaluate(model, data, "val", folder, CPU)  # type: ignore[arg-type]
    for task, name in (("detection", "AP"), ("segmentation", "mIoU")):
        alone = tmp_path / task
        alone.mkdir()
        part = data.parts[task]
        own = evaluate(model.part(task), part, "val", alone, CPU)
        numbers = {key: value for key, value in own.items() if isinstance(value, float) and key != "seconds"}
        assert name in numbers and {key: metrics[key] for key in numbers} == numbers
        assert {key: metrics["per_class"][f"{task}/{key}"] for key in own["per_class"]} == own["per_class"]
        assert (folder / task / "analysis.json").read_text() == (alone / "analysis.json").read_text()
    assert metrics[MEAN_SCORE] == pytest.approx((metrics["AP"] + metrics["mIoU"]) / 2)
    assert metrics["num_images"] == 8 and len(list((folder / "segmentation" / "masks").iterdir())) == 4
    assert json.loads((folder / "metrics.json").read_text()) == metrics
    page = (folder / "report.html").read_text()
    assert "Detection: " in page and "Segmentation: " in page and (folder / "predictions.png").is_file()


def test_counts_of_processes_are_joined() -> None:
    class Sum:
        def __init__(self, value: int) -> None:
            self.value = value

        def merge(self, other: Sum) -> None:
            self.value += other.value

    ours = JointMetric({"detection": Sum(1), "segmentation": Sum(2)})
    ours.merge(JointMetric({"detection": Sum(10), "segmentation": Sum(20)}))
    assert [metric.value for metric in ours.parts.values()] == [11, 22]
