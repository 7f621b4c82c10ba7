"""The neck: what it declares, that every level sees every other, and what it refuses."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.optim import SGD

from pocketvision.backbones import mobilenet_v1, mobilenet_v2, mobilenet_v3_large, mobilenet_v3_small
from pocketvision.backbones.pan import WithPAN
from pocketvision.core.structures import FeatureInfo

BUILDERS = {
    "v1": mobilenet_v1,
    "v2": mobilenet_v2,
    "v3_large": mobilenet_v3_large,
    "v3_small": mobilenet_v3_small,
}


@pytest.mark.parametrize("builder", BUILDERS)
@pytest.mark.parametrize("size", [(64, 96), (65, 97), (320, 320)])
def test_the_declaration_is_true_over_any_mobilenet(builder: str, size: tuple[int, int]) -> None:
    backbone = BUILDERS[builder](width_mult=0.35, out_features=("c3", "c4", "c5"))
    pan = WithPAN(backbone, channels=16, depth=2).eval()
    assert list(pan.feature_info) == ["p3", "p4", "p5", "p6"]
    with torch.no_grad():
        features = pan(torch.rand(1, 3, *size))
    for (name, x), stride in zip(features.items(), (8, 16, 32, 64), strict=True):
        assert pan.feature_info[name] == FeatureInfo(16, stride)
        assert x.shape == (1, 16, -(-size[0] // stride), -(-size[1] // stride))


def test_every_level_sees_every_feature() -> None:
    backbone = mobilenet_v3_small(width_mult=0.35, out_features=("c3", "c4", "c5"))
    pan = WithPAN(backbone, channels=8, kernel_size=3).eval()
    for added in (pan.top_down, pan.down, pan.bottom_up):
        for norm in added.modules():
            if isinstance(norm, nn.BatchNorm2d):
                nn.init.ones_(norm.weight)  # as if it were trained
    weights = [lateral.conv.weight for lateral in pan.lateral]  # type: ignore[union-attr]
    for level in pan(torch.rand(1, 3, 128, 128)).values():
        gradients = torch.autograd.grad(level.square().sum(), weights, retain_graph=True)
        assert all(gradient.abs().sum() > 0 for gradient in gradients)


def test_a_new_pyramid_passes_on_what_a_backbone_knows_and_learns() -> None:
    backbone = mobilenet_v3_small(width_mult=0.35, out_features=("c3", "c4", "c5"))
    pan = WithPAN(backbone, channels=8, depth=2)
    images = torch.rand(2, 3, 128, 128)
    c3, c4, c5 = (conv(x) for conv, x in zip(pan.lateral, backbone(images).values(), strict=True))
    maps = pan(images)
    p4 = c4 + F.interpolate(c5, scale_factor=2)
    enlarged = c5, p4, c3 + F.interpolate(p4, scale_factor=2)
    for name, expected in zip(("p5", "p4", "p3"), enlarged, strict=True):
        torch.testing.assert_close(maps[name], expected)
    before = {name: x.detach().clone() for name, x in pan.named_parameters() if "backbone" not in name}
    for _ in range(2):
        loss = sum(x.square().mean() for x in pan(images).values())
        torch.autograd.backward(loss)
        SGD(pan.parameters(), lr=1.0).step()
    assert not [name for name, x in pan.named_parameters() if name in before and torch.equal(x, before[name])]


@pytest.mark.parametrize("size", [(64, 96), (65, 97), (240, 320)])
def test_coarser_maps_are_enlarged_to_their_nearest_pixels(size: tuple[int, int]) -> None:
    backbone = mobilenet_v3_small(width_mult=0.35, out_features=("c3", "c4", "c5"))
    pan = WithPAN(backbone, channels=8, kernel_size=3).eval()
    seen: dict[nn.Module, torch.Tensor] = {}
    for part in (*pan.lateral, *pan.top_down):
        part.register_forward_hook(lambda part, inputs, output: seen.update({part: output}))
    mixed = pan.top_down[-1]
    mixed.register_forward_pre_hook(lambda part, inputs: seen.update({pan: inputs[0]}))
    pan(torch.rand(1, 3, *size))
    finer, coarse = seen[pan.lateral[-2]], seen[pan.lateral[-1]]
    expected = finer + torch.nn.functional.interpolate(coarse, size=finer.shape[-2:], mode="nearest")
    assert torch.equal(seen[pan], expected)


def test_features_must_halve() -> None:
    class Uneven(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.feature_info = {"c2": FeatureInfo(8, 4), "c4": FeatureInfo(8, 16)}

    with pytest.raises(ValueError, match=r"twice the stride.*'c2': 4, 'c4': 16"):
        WithPAN(Uneven())  # type: ignore[arg-type]
