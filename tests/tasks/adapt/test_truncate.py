"""A narrower network's weights: filters that say nothing can go without a trace."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from pocketvision.backbones.width_groups import adaptable_body, width_groups
from pocketvision.backbones.widths import widths_of
from pocketvision.configs import gfl_v3_small_coco, lraspp_v2_camvid, quickstart
from pocketvision.core.layers import ConvNormAct
from pocketvision.core.protocols import body_of
from pocketvision.runs.build import build_model
from pocketvision.tasks.adapt.truncate import filter_norms, truncate


def silence(layer: Any, channels: torch.Tensor) -> None:
    """Let a ConvNormAct say 0 in some channels, whatever it sees."""
    layer.conv.weight.data[channels] = 0
    layer.norm.bias.data[channels] = 0
    layer.norm.running_mean[channels] = 0


@pytest.mark.parametrize(
    "config", [quickstart, lraspp_v2_camvid, gfl_v3_small_coco], ids=lambda c: c.__name__[21:]
)
@torch.no_grad()
def test_filters_that_say_nothing_go_without_a_trace(
    config: Any, as_trained: Callable[[nn.Module], nn.Module]
) -> None:
    """The silent half goes, with everything that reads it, and the output stays."""
    experiment = replace(config.config, model=partial(config.config.model, image_size=(64, 64)))
    torch.manual_seed(0)
    model: Any = as_trained(build_model(experiment, ("a", "b"))).eval()
    body = adaptable_body(model.backbone)
    images = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    widths = widths_of(body.architecture)
    original = {name: value.clone() for name, value in model.state_dict().items()}
    for group in width_groups(body)[::3]:
        model.load_state_dict(original)
        width = group.width(widths)
        silent = torch.arange(0, width, 4)
        for index, part in group.places:
            block: Any = body.blocks[index]
            silence(block.project if part else block.expand, silent)
            if not part and block.until != "expand":
                silence(block.depthwise, silent)
            if not part and block.until == "output" and hasattr(block.squeeze, "reduce"):
                hidden = block.squeeze.reduce  # all but a few of its own say nothing either
                hidden.weight.data[2:], hidden.bias.data[2:] = 0, 0
        for layer in model.head.modules():  # a bias behind a silent channel would speak
            if isinstance(layer, ConvNormAct) and layer.conv.groups == width:
                silence(layer, silent)
        kept = experiment.model(("a", "b"), weights=None, widths=group.resized(widths, width - len(silent)))
        truncate(model, kept, group)
        wide, narrow = model.head(model.features(images)), kept.eval().head(kept.features(images))
        pairs = [(wide, narrow)] if isinstance(wide, torch.Tensor) else zip(wide, narrow, strict=True)
        for ours, theirs in pairs:
            torch.testing.assert_close(theirs, ours, rtol=1e-3, atol=1e-4)


def test_the_norm_is_that_of_the_filter_as_batchnorm_scales_it() -> None:
    model: Any = build_model(quickstart.config, ("a",))
    body: Any = body_of(model.backbone)
    group = next(g for g in width_groups(body) if len(g.places) == 1 and g.places[0][1] == 0)
    layer = body.blocks[group.places[0][0]].expand
    layer.conv.weight.data.fill_(1.0)
    layer.norm.weight.data[:] = 1.0
    layer.norm.weight.data[3] = -2.0
    norms = filter_norms(body, group)
    assert norms.argmax() == 3
    assert norms[3] / norms[0] == pytest.approx(2.0)
