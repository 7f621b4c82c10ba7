"""Covers models/joint.py, models/shared_backbone.py.

One backbone for a detector and a segmenter: each says what it would alone, features are computed once.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from pocketvision.backbones import WithExtraBlocks, mobilenet_v3_small
from pocketvision.core.resize import Resize
from pocketvision.core.structures import join_names, names_by_task
from pocketvision.heads import ClassifierHead, LRASPPHead, SSDLiteHead
from pocketvision.models import (
    Classifier,
    Detector,
    JointModel,
    Segmenter,
    SharedBackbone,
    detector_in,
)

SIZE = (64, 96)
TAPS = ("c3_depthwise", "c4_expand", "last")


def parts(body: nn.Module, resize: Resize = Resize(SIZE)) -> tuple[Detector, Segmenter]:  # noqa: B008
    boxes = WithExtraBlocks(SharedBackbone(body, ("c4_expand", "last")), channels=(64,))
    return (
        Detector(boxes, SSDLiteHead, ("car", "bus"), resize),
        Segmenter(SharedBackbone(body, ("c3_depthwise", "last")), LRASPPHead, ("road", "car", None), resize),
    )


@pytest.fixture
def model(as_trained: Callable[[nn.Module], nn.Module]) -> JointModel:
    torch.manual_seed(0)
    body = mobilenet_v3_small(width_mult=0.35, out_features=TAPS)
    joint = as_trained(JointModel(body, *parts(body)))
    assert isinstance(joint, JointModel)
    return joint


@pytest.fixture
def images() -> Tensor:
    return torch.randint(0, 256, (2, 3, *SIZE), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def test_each_part_says_what_it_would_alone(model: JointModel, images: Tensor) -> None:
    """As models of their own with the same weights."""
    body = mobilenet_v3_small(width_mult=0.35, out_features=("c4_expand", "last"))
    alone = Detector(WithExtraBlocks(body, channels=(64,)), SSDLiteHead, ("car", "bus"), Resize(SIZE)).eval()
    state = model.state_dict()
    own = {name: value for name, value in state.items() if name.startswith("parts.detection.")}
    renamed = {name.removeprefix("parts.detection."): value for name, value in own.items()}
    renamed |= {f"backbone.{n}": value for n, value in state.items() if n.startswith("backbone.")}
    alone.load_state_dict(renamed)
    outputs = model(images)
    for ours, theirs in zip(outputs["detection"], alone(images), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
    torch.testing.assert_close(outputs["segmentation"], model.part("segmentation")(images), rtol=0, atol=0)


def test_features_are_computed_once(model: JointModel, images: Tensor) -> None:
    calls: list[str] = []
    for name, module in (("body", model.backbone), ("normalize", model.normalize)):
        assert isinstance(module, nn.Module)
        module.register_forward_hook(lambda *_, name=name: calls.append(name))
    model(images)
    assert calls == ["normalize", "body"]


def test_every_weight_has_one_name_and_a_copy_is_whole(model: JointModel) -> None:
    state = model.state_dict()
    assert len({value.data_ptr() for value in state.values() if value.numel()}) == len(state)
    assert {name.split(".")[0] for name in state} == {"backbone", "parts"}
    twin = copy.deepcopy(model)
    assert twin.part("segmentation").backbone.backbone is twin.backbone is not model.backbone  # type: ignore[union-attr, attr-defined]


def test_a_class_of_two_tasks_has_two_names(model: JointModel) -> None:
    assert model.class_names == (
        "detection/car", "detection/bus", "segmentation/road", "segmentation/car", "segmentation/",
    )  # fmt: skip
    by_task = names_by_task(model.class_names)
    assert by_task == {"detection": ("car", "bus"), "segmentation": ("road", "car", None)}
    assert join_names(by_task) == model.class_names
    with pytest.raises(ValueError, match="detection/cat"):
        names_by_task(("cat",))


def test_the_passport_states_every_part(model: JointModel) -> None:
    facts = model.passport()
    assert facts["task"] == "joint" and list(facts["parts"]) == ["detection", "segmentation"]
    for task, own in facts["parts"].items():
        assert own == model.part(task).passport()
    detector = detector_in(model)
    assert detector is model.part("detection") and detector_in(detector) is detector
    assert detector_in(model.part("segmentation")) is None


def test_three_tasks(images: Tensor) -> None:
    body = mobilenet_v3_small(width_mult=0.35, out_features=TAPS)
    third = Classifier(SharedBackbone(body, ("last",)), ClassifierHead, ("day", "night"), Resize(SIZE))
    outputs = JointModel(body, *parts(body), third).eval()(images)
    assert outputs["classification"].shape == (2, 2)


def test_what_does_not_fit_together() -> None:
    body = mobilenet_v3_small(width_mult=0.35, out_features=TAPS)
    boxes, street = parts(body)
    with pytest.raises(ValueError, match="each for another task"):
        JointModel(body, boxes)
    with pytest.raises(ValueError, match="each for another task"):
        JointModel(body, boxes, parts(body)[0])
    with pytest.raises(ValueError, match="one forward pass has one input"):
        JointModel(body, boxes, parts(body, Resize((32, 32)))[1])
    with pytest.raises(ValueError, match="a backbone of its own"):
        JointModel(mobilenet_v3_small(width_mult=0.35, out_features=TAPS), boxes, street)
    with pytest.raises(ValueError, match="no feature 'c2'"):
        SharedBackbone(body, ("c2",))


@torch.no_grad()
def test_a_part_alone_has_the_backbone_as_its_own(model: JointModel, images: Tensor) -> None:
    for task in model.tasks:
        alone = model.alone(task)
        counted = sum(p.numel() for p in alone.parameters())
        shared = sum(p.numel() for p in cast(nn.Module, model.backbone).parameters())
        assert counted == shared + sum(p.numel() for p in model.part(task).parameters())
        expected = model(images)[task]
        for own, joint in zip(_tensors(alone(images)), _tensors(expected), strict=True):
            torch.testing.assert_close(own, joint)
        alone.train()
        assert all(not module.training for module in cast(nn.Module, model.backbone).modules()), "a copy"


def _tensors(output: object) -> tuple[Tensor, ...]:
    return (output,) if isinstance(output, Tensor) else tuple(cast(Any, output))
