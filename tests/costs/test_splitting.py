"""What splitting saves, against the sizes of tensors counted by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pocketvision.backbones import mobilenet_v2, mobilenet_v3_large, mobilenet_v3_small
from pocketvision.backbones.split import split_blocks
from pocketvision.core.errors import InputError
from pocketvision.costs import splitting
from pocketvision.costs.measure import measure_cost
from pocketvision.costs.splitting import choose_groups, plan_split

FLOAT = 4


def test_peaks_of_v2_by_hand() -> None:
    """arXiv:1801.04381, sec. 5.1: input + output + a group's share of what is between them."""
    plan = plan_split(mobilenet_v2(), (224, 224), 3)
    inside, outside = 112 * 112 * FLOAT, 56 * 56 * FLOAT
    assert plan.blocks == ("blocks.1", "blocks.2")
    assert plan.before["blocks.1"] == 96 * (inside + outside)
    assert plan.after["blocks.1"] == 16 * inside + 24 * outside + 32 * (inside + outside)
    assert plan.after["blocks.2"] < plan.before["blocks.2"]
    assert plan.peak_after == plan.before["blocks.0"] == 2 * 32 * inside  # input and depthwise output
    assert plan.extra_madds == 0
    assert list(plan.before) == ["stem", *(f"blocks.{number}" for number in range(17))]


@pytest.mark.parametrize("num_groups", [2, 5, 8])
def test_only_what_lowers_the_peak_is_split(num_groups: int) -> None:
    backbone = mobilenet_v3_large(out_features=("c3",))
    plan = plan_split(backbone, (96, 160), num_groups)
    assert plan.blocks and plan.peak_after < plan.peak_before
    split = measure_cost(split_blocks(backbone, num_groups, plan.blocks), (96, 160))
    assert split.memory == plan.peak_after
    for name, peak in plan.before.items():
        assert (name in plan.blocks) == (peak > plan.peak_after)


def test_squeeze_and_excitation_costs_a_second_pass() -> None:
    backbone = mobilenet_v3_small(out_features=("c3",))
    plan = plan_split(backbone, (64, 64), 4)
    whole, split = (
        measure_cost(model, (64, 64)) for model in (backbone, split_blocks(backbone, 4, plan.blocks))
    )
    assert plan.extra_madds == split.madds - whole.madds


def test_one_group_and_small_images_split_nothing() -> None:
    plan = plan_split(mobilenet_v2(width_mult=0.35), (64, 64), 1)
    assert plan.blocks == () and plan.before == plan.after


def test_auto_takes_the_lowest_peak_that_costs_little(monkeypatch: pytest.MonkeyPatch) -> None:
    slower = {2: 0.02, 3: 0.3}
    monkeypatch.setattr(splitting, "_time_losses", lambda *arguments: slower)
    with torch.device("meta"):
        backbone = mobilenet_v2(out_features=("c2",))
    chosen = choose_groups(backbone, (224, 224))
    assert chosen.plan.num_groups == 2 and chosen.time_loss == slower
    assert choose_groups(backbone, (224, 224), max_time_loss=0.5).plan.num_groups == 3
    assert choose_groups(backbone, (224, 224), max_time_loss=0.01).plan.blocks == ()


def test_time_is_measured_of_models_without_values_too() -> None:
    with torch.device("meta"):
        backbone = mobilenet_v2(width_mult=0.35, out_features=("c3",))
    chosen = choose_groups(backbone, (64, 64), max_time_loss=1e9)
    assert chosen.time_loss and all(loss > -1 for loss in chosen.time_loss.values())
    assert chosen.plan.num_groups == max(chosen.time_loss)


def test_a_model_without_inverted_residuals_is_refused() -> None:
    with pytest.raises(InputError, match="no inverted residual"):
        plan_split(nn.Conv2d(3, 8, 3), (32, 32), 2)
