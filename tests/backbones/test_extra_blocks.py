"""The pyramid of SSDLite against torchvision's extra blocks."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from torch import nn
from torchvision.models.detection.ssdlite import _extra_block

from pocketvision.backbones import WithExtraBlocks, mobilenet_v3_small
from pocketvision.core.structures import FeatureInfo


def backbone() -> nn.Module:
    return mobilenet_v3_small(width_mult=0.35, out_features=("c4_expand", "last"))


@pytest.mark.parametrize("size", [(64, 96), (97, 65), (129, 33)])
def test_declared_channels_and_strides_are_true(size: tuple[int, int]) -> None:
    pyramid = WithExtraBlocks(backbone()).eval()
    own = dict(backbone().feature_info)
    extra = zip((512, 256, 256, 128), (64, 128, 256, 512), strict=True)
    expected = {f"extra{i}": FeatureInfo(c, s) for i, (c, s) in enumerate(extra, start=1)}
    assert list(pyramid.feature_info.items()) == [*own.items(), *expected.items()]
    with torch.no_grad():
        features = pyramid(torch.randn(1, 3, *size))
    assert list(features) == list(pyramid.feature_info)
    for name, (channels, stride) in pyramid.feature_info.items():
        assert features[name].shape == (1, channels, *(math.ceil(side / stride) for side in size))


@torch.no_grad()
def test_blocks_equal_torchvision() -> None:
    torch.manual_seed(0)
    pyramid = WithExtraBlocks(backbone(), channels=(24, 16)).eval()
    channels = pyramid.feature_info["last"].channels
    norm = partial(nn.BatchNorm2d, eps=1e-3, momentum=0.03)
    theirs = nn.Sequential(_extra_block(channels, 24, norm), _extra_block(24, 16, norm)).eval()
    for tensor in theirs.state_dict().values():
        if tensor.is_floating_point():
            tensor.uniform_(0.1, 0.9)
    values = iter(theirs.state_dict().values())
    pyramid.extra_blocks.load_state_dict({k: next(values) for k in pyramid.extra_blocks.state_dict()})
    assert next(values, None) is None
    features = pyramid(torch.randn(2, 3, 100, 70))
    torch.testing.assert_close(features["extra1"], theirs[0](features["last"]))
    torch.testing.assert_close(features["extra2"], theirs(features["last"]))


def test_the_backbone_is_left_as_it_was() -> None:
    inner = backbone()
    info = dict(inner.feature_info)
    pyramid = WithExtraBlocks(inner, channels=(32,))
    assert inner.feature_info == info and len(pyramid.feature_info) == 3
    assert WithExtraBlocks(backbone(), channels=()).feature_info == info


def test_every_parameter_learns_and_starts_from_a_narrow_normal() -> None:
    torch.manual_seed(0)
    pyramid = WithExtraBlocks(backbone()).train()
    weights = [p for p in pyramid.extra_blocks.parameters() if p.dim() == 4 and p.numel() > 1000]
    assert all(abs(weight.std().item() - 0.03) < 0.003 for weight in weights)
    sum(x.square().mean() for x in pyramid(torch.randn(2, 3, 64, 64)).values()).backward()
    assert all(parameter.grad is not None for parameter in pyramid.parameters())
