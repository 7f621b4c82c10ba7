"""Rates worked out by hand, at the ends and between them, and which layers a rate is for."""

from __future__ import annotations

import math
from typing import Any

import pytest
from torch import nn

from pocketvision.backbones import mobilenet_v3_small
from pocketvision.core.resize import Resize
from pocketvision.heads import SSDLiteHead
from pocketvision.models import Detector
from pocketvision.tasks.learning_rates import (
    can_freeze,
    depthwise_weights,
    layers_until,
    lr_factor,
    parameter_groups,
)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [("cosine", 0.5 + math.sqrt(2) / 4), ("poly", 0.75**0.9), ("constant", 1.0), ("step", 1.0)],
)
def test_a_quarter_after_the_warm_up(schedule: Any, expected: float) -> None:
    assert lr_factor(20 + 45, 200, 20, schedule) == pytest.approx(expected)


@pytest.mark.parametrize(("schedule", "expected"), [("cosine", 0.0), ("poly", 0.0), ("constant", 1.0)])
def test_the_rate_stays_what_it_was_after_the_last_step(schedule: Any, expected: float) -> None:
    assert [lr_factor(step, 200, 20, schedule) for step in (200, 201, 290)] == pytest.approx([expected] * 3)


def test_a_run_that_is_all_warm_up_ends_at_the_full_rate() -> None:
    factors = [lr_factor(step, 4, 4, "cosine") for step in range(6)]
    assert factors == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0, 0.0])


def test_steps_are_of_one_step_where_no_length_is_given() -> None:
    assert [lr_factor(step, 9, 0, "step", decay_rate=0.5) for step in range(4)] == [1, 0.5, 0.25, 0.125]


def test_depthwise_are_convolutions_of_one_channel_each() -> None:
    two, one, whole, halves = (
        nn.Conv2d(2, 2, 3, groups=2), nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 3, groups=2),
    )  # fmt: skip
    assert depthwise_weights(nn.Sequential(two, one, whole, halves)) == {two.weight}


def test_a_feature_that_is_known_can_be_frozen() -> None:
    model = Detector(
        mobilenet_v3_small(out_features=("c4_expand", "last")), SSDLiteHead, ("a",), Resize((64, 64))
    )
    assert can_freeze(model, "c3") and layers_until(model, "c3")
    assert not can_freeze(model, "c9")
    model.backbone = nn.Identity()  # which does not name its layers
    assert not can_freeze(model, "c3")
    with pytest.raises(ValueError, match=r"a Identity has no layers_until"):
        layers_until(model, "c3")


def test_a_backbone_without_named_layers_has_one_rate_of_its_own() -> None:
    model = Detector(
        mobilenet_v3_small(out_features=("c4_expand", "last")), SSDLiteHead, ("a",), Resize((64, 64))
    )
    model.backbone = nn.Linear(3, 4)
    groups = parameter_groups(model, 0.5, 1.0, decay_depthwise=True)
    slow = {id(p) for group in groups if group["lr_factor"] == 0.5 for p in group["params"]}
    assert slow == {id(p) for p in model.backbone.parameters()}
    spared = {id(p) for group in groups if "weight_decay" in group for p in group["params"]}
    assert id(model.backbone.weight) not in spared and id(model.backbone.bias) in spared
    with pytest.raises(ValueError, match=r"layer_decay is 0\.8, but a Linear has no layer_groups"):
        parameter_groups(model, 0.5, 0.8, decay_depthwise=True)
