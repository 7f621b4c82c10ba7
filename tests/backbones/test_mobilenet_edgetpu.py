"""MobileNetEdgeTPU: slim's published costs, timm's layers, and what its fused blocks compute."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import timm
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from pocketvision.backbones import mobilenet_edgetpu
from pocketvision.backbones.blocks import BlockSpec, FusedResidual
from pocketvision.configs import classifier_edgetpu_imagenet
from pocketvision.core.layers import ConvNormAct

CLASSES = [str(number) for number in range(1001)]


@pytest.mark.parametrize(("width_mult", "madds", "params"), [(1.0, 990, 4.0), (0.75, 624, 2.9)])
def test_published_costs(width_mult: float, madds: int, params: float) -> None:
    """slim's README, in millions, with the digits behind cut off; parameters without BatchNorm's."""
    model = classifier_edgetpu_imagenet.model(CLASSES, width_mult=width_mult).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.zeros(1, 3, 224, 224))
    assert counter.get_total_flops() // 2_000_000 == madds
    count = sum(value.numel() for name, value in model.named_parameters() if ".norm." not in name)
    assert count // 100_000 / 10 == params


def test_kernels_are_those_of_timm() -> None:
    """Which has no trained weights, and an activation after the first block."""
    theirs = timm.create_model("mobilenet_edgetpu_100", num_classes=len(CLASSES))
    ours = classifier_edgetpu_imagenet.model(CLASSES)
    shapes = [[v.shape for v in model.state_dict().values() if v.ndim == 4] for model in (ours, theirs)]
    assert shapes[0] == shapes[1] and len(shapes[0]) == 58
    skips: list[bool] = [bool(block.has_residual) for block in ours.backbone.blocks]  # type: ignore[union-attr, misc]
    blocks: Any = theirs.blocks
    assert skips[1:] == [block.has_skip for stage in blocks for block in stage][1:]
    for library in ("torchvision", "timm"):
        with pytest.raises(ValueError, match="only TensorFlow's slim has weights"):
            mobilenet_edgetpu().published_names(library)  # type: ignore[arg-type]


@torch.no_grad()
@pytest.mark.parametrize(("expanded", "out"), [(24, 8), (24, 16), (8, 8), (8, 16)])
def test_a_fused_block(expanded: int, out: int) -> None:
    conv = partial(ConvNormAct, padding="torch", norm_eps=1e-3, norm_momentum=0.1)
    spec = BlockSpec(3, expanded, out, False, "relu", 1, fused=True)
    block = FusedResidual(conv, 8, spec, stride=1, dilation=2, has_residual=True, until="output").eval()
    x = torch.randn(1, 8, 9, 7)
    wide, scale = x, (1 + 1e-3) ** -0.5
    if expanded != 8:
        assert isinstance(block.expand, ConvNormAct)
        wide = (F.conv2d(x, block.expand.conv.weight, padding=2, dilation=2) * scale).relu()
    expected = F.conv2d(wide, block.project.conv.weight) * scale + (x if out == 8 else 0)
    torch.testing.assert_close(block(x), expected)


def test_features_are_read_where_there_are_any() -> None:
    """A fused block has no depthwise tensor, and none of its expansion at the resolution before it."""
    with pytest.raises(ValueError, match=r"unknown features \['c3_depthwise'\]: choose from c1_first, c1"):
        mobilenet_edgetpu(out_features=("c3_depthwise",))
    features = mobilenet_edgetpu(out_features=("c3", "c3_expand", "c4_depthwise", "c4_expand", "last"))
    channels = {name: info.channels for name, info in features.feature_info.items()}
    assert channels == {"c3": 48, "c3_expand": 384, "c4_depthwise": 384, "c4_expand": 768, "last": 1280}
