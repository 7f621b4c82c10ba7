"""Covers tasks/detection.py, tasks/segmentation.py, runs/teacher.py.

A larger model teaches, and leaves no trace.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.optim import SGD

from pocketvision.configs import lraspp_v3_small_cityscapes, ssdlite_v3_small_coco
from pocketvision.configs.own_detection_gfl import model as gfl
from pocketvision.core.anchors import CellAnchors
from pocketvision.core.config import Experiment
from pocketvision.core.errors import InputError
from pocketvision.core.resize import PixelFormat
from pocketvision.core.structures import BoxTarget, MaskTarget
from pocketvision.core.weights import save_weights
from pocketvision.losses import Distillation, GFLLoss, PixelDistillation, SegmentationCrossEntropy, SSDLoss
from pocketvision.models import Detector, Segmenter
from pocketvision.runs.passport import make_passport
from pocketvision.tasks import DetectionTask, SegmentationTask

NAMES = ("a", "b")
TRUTH = BoxTarget(torch.tensor([[2.0, 2, 40, 44], [24, 20, 60, 60]]), torch.tensor([1, 0]), 0, (64, 64))


def detector(names: tuple[str, ...] = NAMES, **options: Any) -> Detector:
    torch.manual_seed(0)
    return gfl(names, image_size=(64, 64), weights=None, **{"channels": 8, **options})


def saved(path: Path) -> Path:
    """A weights file of a wider detector."""
    config = Experiment(partial(gfl, image_size=(64, 64), channels=16), DetectionTask, dict)
    teacher = detector(channels=16)
    save_weights(path, teacher, make_passport(teacher, config))
    return path


def task(model: Detector, loss: Any = None, **options: Any) -> DetectionTask:
    return DetectionTask(
        model, loss or GFLLoss(), optimizer=partial(SGD, lr=0.1), reference_batch=2, **options
    )


def test_its_scores_and_distributions_are_learned(tmp_path: Path) -> None:
    path = saved(tmp_path / "teacher.safetensors")
    images = torch.arange(2 * 3 * 64 * 64).reshape(2, 3, 64, 64).to(torch.uint8)
    plain, taught = task(detector()), task(detector(), teacher=path, distillation=Distillation(2.0))
    losses = plain.train().losses_of(plain.outputs(images), [TRUTH, TRUTH])
    more = taught.train().losses_of(taught.outputs(images), [TRUTH, TRUTH])
    assert all(more[name].equal(value) for name, value in losses.items())
    assert more.keys() - losses.keys() == {"teacher_class_loss", "teacher_distribution_loss"}
    assert all(value > 0 for value in more.values())
    torch.stack(list(more.values())).sum().backward()
    again = task(detector(), teacher=path).train()
    assert (
        again.losses_of(again.outputs(images), [TRUTH, TRUTH])["teacher_class_loss"]
        .mul(2)
        .equal(more["teacher_class_loss"])
    )


def test_it_leaves_no_trace_and_does_not_change(tmp_path: Path) -> None:
    path = saved(tmp_path / "teacher.safetensors")
    plain, taught = task(detector()), task(detector(), teacher=path)
    assert taught.state_dict().keys() == plain.state_dict().keys()
    assert len(list(taught.parameters())) == len(list(plain.parameters()))
    (teacher,) = taught._teacher
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    taught.train()
    taught.outputs(torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8))
    assert all(value.equal(before[name]) for name, value in teacher.state_dict().items())


@pytest.mark.parametrize(
    ("names", "options", "sentence"),
    [
        (("b", "a"), {}, "knows a, b, in this order, and the model learns b, a"),
        (NAMES, {"anchors": CellAnchors(5.0)}, "has other anchors, maps or distributions"),
        (NAMES, {"reg_max": 5}, "has other anchors, maps or distributions"),
    ],
)
def test_one_of_something_else(
    tmp_path: Path, names: tuple[str, ...], options: dict[str, Any], sentence: str
) -> None:
    path = saved(tmp_path / "teacher.safetensors")
    with pytest.raises(ValueError, match=sentence):
        task(detector(names, **options), teacher=path)


def test_one_with_other_scores_and_none(tmp_path: Path) -> None:
    path = saved(tmp_path / "teacher.safetensors")
    with pytest.raises(ValueError, match="can't teach: both must be detectors with sigmoid scores"):
        task(ssdlite_v3_small_coco.model(NAMES, width_mult=0.35), SSDLoss(), teacher=path)
    with pytest.raises(InputError, match=r"There is no teacher .*nowhere"):
        task(detector(), teacher=tmp_path / "nowhere.safetensors")


def segmenter(names: tuple[str, ...] = NAMES, width_mult: float = 0.35) -> Segmenter:
    torch.manual_seed(0)
    return lraspp_v3_small_cityscapes.model(names, image_size=(64, 64), weights=None, width_mult=width_mult)


def saved_segmenter(path: Path) -> Path:
    config = Experiment(
        partial(lraspp_v3_small_cityscapes.model, image_size=(64, 64), width_mult=0.5), SegmentationTask, dict
    )
    teacher = segmenter(width_mult=0.5)
    save_weights(path, teacher, make_passport(teacher, config))
    return path


def map_task(model: Segmenter, **options: Any) -> SegmentationTask:
    loss = SegmentationCrossEntropy()
    return SegmentationTask(model, loss, optimizer=partial(SGD, lr=0.1), reference_batch=2, **options)


def test_a_map_is_learned_from_another(tmp_path: Path) -> None:
    path = saved_segmenter(tmp_path / "teacher.safetensors")
    images = torch.arange(2 * 3 * 64 * 64).reshape(2, 3, 64, 64).to(torch.uint8)
    truth = [MaskTarget(torch.zeros(64, 64, dtype=torch.uint8), 0, (64, 64))] * 2
    plain = map_task(segmenter()).train()
    taught = map_task(segmenter(), teacher=path, distillation=PixelDistillation(2.0)).train()
    losses = plain.losses_of(plain.outputs(images), truth)
    outputs = taught.outputs(images)
    more = taught.losses_of(outputs, truth)
    assert more.keys() - losses.keys() == {"teacher_pixel_loss"}
    assert more["cross_entropy"].equal(losses["cross_entropy"]) and more["teacher_pixel_loss"] > 0
    assert taught.counts_of(outputs, truth) == plain.counts_of(plain.outputs(images), truth)
    assert taught.state_dict().keys() == plain.state_dict().keys()
    more["teacher_pixel_loss"].backward()
    assert all(parameter.grad is None for parameter in taught._teacher[0].parameters())


def test_one_of_another_task_or_of_other_classes(tmp_path: Path) -> None:
    of_boxes, of_maps = saved(tmp_path / "boxes.safetensors"), saved_segmenter(tmp_path / "map.safetensors")
    with pytest.raises(ValueError, match="can't teach: it is a Detector, and the model a Segmenter"):
        map_task(segmenter(), teacher=of_boxes)
    with pytest.raises(ValueError, match="can't teach: it is a Segmenter, and the model a Detector"):
        task(detector(), teacher=of_maps)
    with pytest.raises(ValueError, match="knows a, b, in this order, and the model learns b, a"):
        map_task(segmenter(("b", "a")), teacher=of_maps)
    gray = segmenter()
    gray.resize = replace(gray.resize, pixels=PixelFormat(1))
    with pytest.raises(ValueError, match=r"PixelFormat\(channels=3.*and the model PixelFormat\(channels=1"):
        map_task(gray, teacher=of_maps)
    with pytest.raises(InputError, match=r"There is no teacher .*nowhere"):
        map_task(segmenter(), teacher=tmp_path / "nowhere.safetensors")
