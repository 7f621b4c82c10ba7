"""Parts that nobody here knows: what needs an optional protocol says so, everything else works."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import timm
import torch
from torch import nn
from torch.optim import SGD

from pocketvision.backbones import TimmBackbone, WithExtraBlocks, mobilenet_v3_small
from pocketvision.core.resize import Resize
from pocketvision.heads import SSDLiteHead
from pocketvision.losses import SSDLoss
from pocketvision.models import Detector
from pocketvision.tasks import DetectionTask
from pocketvision.tasks.learning_rates import can_freeze

IMAGES = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)


@pytest.fixture
def model() -> Detector:
    options = {"pretrained": False, "features_only": True, "out_indices": (3, 4)}
    body = TimmBackbone(timm.create_model("mobilenetv4_conv_small_050", **options))
    return Detector(WithExtraBlocks(body, channels=(16,)), SSDLiteHead, ("a", "b"), Resize((64, 64)))


def task(model: Detector, **options: Any) -> DetectionTask:
    return DetectionTask(model, loss=SSDLoss(), optimizer=partial(SGD, lr=0.1), reference_batch=8, **options)


def test_any_backbone_has_its_own_rate_and_a_pyramid_s_layers_do_not(model: Detector) -> None:
    groups = task(model, backbone_lr_factor=0.25).parameter_groups()
    factors = {id(parameter): group["lr_factor"] for group in groups for parameter in group["params"]}
    for name, parameter in model.named_parameters():
        assert factors[id(parameter)] == (0.25 if name.startswith("backbone.backbone.") else 1.0), name


def test_freezing_and_decay_by_layer_are_refused_in_a_sentence(model: Detector) -> None:
    with pytest.raises(ValueError, match=r"freeze_until is 'c3', but a TimmBackbone has no layers_until\(\)"):
        task(model, freeze_until="c3")
    with pytest.raises(ValueError, match=r"layer_decay is 0\.9, but a TimmBackbone has no layer_groups\(\)"):
        task(model, layer_decay=0.9).parameter_groups()


def test_norms_of_other_libraries_are_frozen_too(model: Detector) -> None:
    training = task(model, freeze_norms=True)
    norms = {name: m for name, m in model.named_modules() if isinstance(m, nn.BatchNorm2d)}
    before = {name: norm.running_mean.clone() for name, norm in norms.items()}  # type: ignore[union-attr]
    for _ in range(2):
        training.train()
        model(IMAGES).class_logits.sum().backward()
    for name, norm in norms.items():
        assert torch.equal(norm.running_mean, before[name]) == name.startswith("backbone.backbone."), name
    stem = norms["backbone.backbone.model.bn1"]
    assert stem.weight.grad is not None and stem.weight.grad.any(), "scale and shift still learn"


def test_whether_it_can_be_frozen(model: Detector) -> None:
    body = mobilenet_v3_small(out_features=("c4_expand", "last"))
    known = Detector(WithExtraBlocks(body, channels=(16,)), SSDLiteHead, ("a",), Resize((64, 64)))
    assert [can_freeze(known, "c3"), can_freeze(known, "f3"), can_freeze(model, "c3")] == [True, False, False]
