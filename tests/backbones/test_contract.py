"""What every backbone promises; a new one is tested by being listed in ``backbones.__all__``."""

from __future__ import annotations

import copy
import io
import math
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pocketvision import backbones

BUILDERS = [name for name in backbones.__all__ if name != "WithExtraBlocks"]
LEVELS = ("c1", "c2", "c3", "c4", "c5")
pytestmark = pytest.mark.parametrize("name", BUILDERS)


def build(name: str, **arguments: Any) -> nn.Module:
    torch.manual_seed(0)
    backbone: nn.Module = getattr(backbones, name)(**{"width_mult": 0.5, **arguments})
    return backbone.eval()


def known_features(name: str) -> list[str]:
    with pytest.raises(ValueError) as error:
        build(name, out_features=("c3", "nonsense"))
    assert "'nonsense'" in str(error.value) and "'c3'" not in str(error.value)
    listed = re.search(r"choose from (.*)\.$", str(error.value))
    assert listed is not None
    return listed[1].split(", ")


def images(height: int = 64, width: int = 96, count: int = 1) -> Tensor:
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(height))


def assert_equal(first: dict[str, Tensor], second: dict[str, Tensor]) -> None:
    assert list(first) == list(second)
    for feature in first:
        torch.testing.assert_close(first[feature], second[feature])


@pytest.mark.parametrize("output_stride", [8, 16, 32])
def test_declared_channels_and_strides_are_true(name: str, output_stride: int) -> None:
    features = known_features(name)
    assert set(LEVELS) <= set(features)
    backbone = build(name, out_features=features[::-1], output_stride=output_stride)
    info = backbone.feature_info
    assert set(info) == set(features)
    strides = [stride for _, stride in info.values()]
    assert strides == sorted(strides), "finest first"
    for level, feature in enumerate(LEVELS, start=1):
        assert info[feature].stride == min(2**level, output_stride)
    with torch.no_grad():
        for height, width in ((64, 96), (65, 97), (33, 127)):
            outputs = backbone(images(height, width))
            assert list(outputs) == list(info)
            for feature, output in outputs.items():
                channels, stride = info[feature]
                expected = (1, channels, math.ceil(height / stride), math.ceil(width / stride))
                assert output.shape == expected, feature


@pytest.mark.parametrize("output_stride", [0, 4, 64])
def test_other_output_strides_are_refused(name: str, output_stride: int) -> None:
    with pytest.raises(ValueError, match=f"output_stride is {output_stride}: choose 8, 16 or 32"):
        build(name, output_stride=output_stride)


def test_no_features_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="choose from c1"):
        build(name, out_features=())


@pytest.mark.parametrize(
    "out_features", [("c1",), ("c4_expand",), ("c3_depthwise", "last"), ("c4_expand", "last"), LEVELS]
)
def test_every_parameter_learns(name: str, out_features: tuple[str, ...]) -> None:
    if not set(out_features) <= set(known_features(name)):
        pytest.skip(f"{name} has no {out_features}")
    backbone = build(name, out_features=out_features).train()
    sum(output.square().mean() for output in backbone(images(count=2)).values()).backward()
    for parameter_name, parameter in backbone.named_parameters():
        assert parameter.grad is not None, f"{parameter_name} is built but not used"
        assert parameter.grad.isfinite().all(), parameter_name


def test_a_shallow_backbone_is_the_beginning_of_a_deep_one(name: str) -> None:
    features = known_features(name)
    deep = build(name, out_features=features)
    sizes = []
    with torch.no_grad():
        expected = deep(images())
        for feature in deep.feature_info:
            shallow = build(name, out_features=(feature,))
            own = shallow.state_dict()
            shallow.load_state_dict({key: deep.state_dict()[key] for key in own})
            assert_equal(shallow(images()), {feature: expected[feature]})
            assert shallow.feature_info == {feature: deep.feature_info[feature]}
            sizes.append(sum(p.numel() for p in shallow.parameters()))
    assert sizes == sorted(sizes) and len(set(sizes)) == len(sizes)
    assert sizes[-1] == sum(p.numel() for p in deep.parameters())


def test_exported_graphs_come_back_from_a_file(name: str) -> None:
    backbone, file = build(name), io.BytesIO()
    torch.export.save(torch.export.export(backbone, (images(),)), file)
    file.seek(0)
    with torch.no_grad():
        assert_equal(torch.export.load(file).module()(images()), backbone(images()))


def test_copies_and_state_dicts(name: str, tmp_path: Path) -> None:
    backbone = build(name)
    with torch.no_grad():
        for parameter in backbone.parameters():
            parameter.add_(0.01 * torch.randn(parameter.shape))
        expected = backbone(images())
        copied = copy.deepcopy(backbone)
        torch.save(backbone.state_dict(), tmp_path / "w.pth")
        from_file = build(name, weights=tmp_path / "w.pth")
        by_name = build(name, weights=str(tmp_path / "w.pth"))
        for parameter in backbone.parameters():
            parameter.zero_()
        for other in (copied, from_file, by_name):
            assert_equal(other(images()), expected)


def test_batch_norm_settings_reach_every_layer(name: str) -> None:
    norms = [m for m in build(name, norm_eps=0.25, norm_momentum=0.125).modules() if hasattr(m, "momentum")]
    assert norms and {(norm.eps, norm.momentum) for norm in norms} == {(0.25, 0.125)}
