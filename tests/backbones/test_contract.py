"""Covers backbones/architecture.py, backbones/blocks.py, backbones/mobilenet.py, core/protocols.py.

What every backbone promises; a new one is tested by being listed in ``backbones.__all__``.
"""

from __future__ import annotations

import copy
import inspect
import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn

from pocketvision import backbones
from pocketvision.backbones.mobilenet import MobileNet
from pocketvision.core.protocols import HasLayers
from pocketvision.core.registered import backbone_names
from pocketvision.core.structures import FeatureInfo, Features


class Plain(nn.Module):
    """The least that is a backbone: two members, no options."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.second = nn.Conv2d(8, 12, 3, stride=2, padding=1)
        self.feature_info = {"fine": FeatureInfo(8, 2), "coarse": FeatureInfo(12, 4)}

    def forward(self, images: Tensor) -> Features:
        fine = self.first(images).relu()
        return {"fine": fine, "coarse": self.second(fine).relu()}


def timm_v4() -> nn.Module:
    model = timm.create_model("mobilenetv4_conv_small_050", pretrained=False, features_only=True)
    return backbones.TimmBackbone(model)


FROM_OUTSIDE: dict[str, Callable[[], nn.Module]] = {"Plain": Plain, "MobileNetV4": timm_v4}
"""Backbones that nobody registered: the contract is theirs too."""
LEVELS = ("c1", "c2", "c3", "c4", "c5")


def options_of(name: str) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(getattr(backbones, name)).parameters


def build(name: str, **arguments: Any) -> Any:
    """A small backbone; ``arguments`` are for those that know them."""
    torch.manual_seed(0)
    if name in FROM_OUTSIDE:
        return FROM_OUTSIDE[name]().eval()
    known = options_of(name)
    if "model" in known:
        model = timm.create_model("mobilenetv3_small_050", pretrained=False, features_only=True)
        return getattr(backbones, name)(model).eval()
    if "backbone" in known:
        inner = build("mobilenet_v3_small", **{"out_features": ("c3", "c4", "c5"), **arguments})
        return getattr(backbones, name)(inner).eval()
    small = {"width_mult": 0.35} if "width_mult" in known else {}
    return getattr(backbones, name)(**{**small, **arguments}).eval()


BACKBONES = (*backbones.__all__, *FROM_OUTSIDE)
MOBILENETS = [name for name in BACKBONES if isinstance(build(name), MobileNet)]
COMPILED = dict.fromkeys(MOBILENETS, ("c1", "c3")) | {"mobilenet_v3_small": ("c4_expand", "last")}
every_backbone = pytest.mark.parametrize("name", BACKBONES)
every_mobilenet = pytest.mark.parametrize("name", MOBILENETS)


def test_every_shipped_factory_is_seen() -> None:
    assert {"mobilenet_v1", "mobilenet_v2", "mobilenet_v3_large", "mobilenet_v3_small"} <= set(MOBILENETS)
    assert set(backbone_names()) <= set(BACKBONES)


def known_features(name: str) -> list[str]:
    with pytest.raises(ValueError) as error:
        build(name, out_features=("c3", "nonsense"))
    assert "'nonsense'" in str(error.value) and "'c3'" not in str(error.value)
    listed = re.search(r"choose from (.*)\.$", str(error.value))
    assert listed is not None
    return listed[1].split(", ")


@pytest.mark.parametrize("name", backbone_names())
def test_what_is_offered_by_name_gives_the_levels_that_are_asked_for(name: str) -> None:
    """``--model``, ``cost`` and the configs for own data ask so."""
    assert {"c2", "c3", "c4", "c5"} <= set(known_features(name))
    assert list(build(name, out_features=("c5", "c3", "c4")).feature_info) == ["c3", "c4", "c5"]


def images(height: int = 64, width: int = 96, count: int = 1, channels: int = 3) -> Tensor:
    return torch.randn(count, channels, height, width, generator=torch.Generator().manual_seed(height))


def assert_equal(first: dict[str, Tensor], second: dict[str, Tensor], **tolerance: float) -> None:
    assert list(first) == list(second)
    for feature in first:
        torch.testing.assert_close(first[feature], second[feature], **tolerance)


def assert_declaration_is_true(backbone: Any) -> None:
    strides = [stride for _, stride in backbone.feature_info.values()]
    assert strides == sorted(strides), "finest first"
    with torch.no_grad():
        for height, width in ((64, 96), (65, 97), (33, 127)):
            outputs = backbone(images(height, width))
            assert list(outputs) == list(backbone.feature_info)
            for feature, output in outputs.items():
                channels, stride = backbone.feature_info[feature]
                expected = (1, channels, math.ceil(height / stride), math.ceil(width / stride))
                assert output.shape == expected, feature


def assert_every_parameter_learns(backbone: Any) -> None:
    sum(output.square().mean() for output in backbone.train()(images(count=2)).values()).backward()
    for name, parameter in backbone.named_parameters():
        assert parameter.grad is not None, f"{name} is built but not used"
        assert parameter.grad.isfinite().all(), name


@every_backbone
def test_declared_channels_and_strides_are_true(name: str) -> None:
    assert_declaration_is_true(build(name))


@every_backbone
def test_every_parameter_learns(name: str) -> None:
    assert_every_parameter_learns(build(name))


@every_backbone
@torch.no_grad()
def test_compiled_as_one_graph(name: str) -> None:
    """The blocks of Small are of all kinds; of the others the first ones do, to save time."""
    backbone = build(name, out_features=COMPILED[name]) if name in COMPILED else build(name)
    compiled = torch.compile(backbone, fullgraph=True, backend="aot_eager")
    assert_equal(compiled(images()), backbone(images()))
    torch.compiler.reset()


@every_backbone
@torch.no_grad()
def test_copies_and_state_dicts(name: str) -> None:
    backbone = build(name)
    for parameter in backbone.parameters():
        parameter.add_(0.01 * torch.randn(parameter.shape))
    expected = backbone(images())
    copied, loaded = copy.deepcopy(backbone), build(name)
    loaded.load_state_dict(backbone.state_dict())
    for parameter in backbone.parameters():
        parameter.zero_()
    for other in (copied, loaded):
        assert_equal(other(images()), expected)


@every_backbone
@torch.no_grad()
def test_half_precision(name: str) -> None:
    backbone = build(name)
    expected = backbone(images())
    for feature, output in backbone.to(torch.bfloat16)(images().to(torch.bfloat16)).items():
        assert output.dtype == torch.bfloat16
        error = (output.float() - expected[feature]).norm() / expected[feature].norm()
        assert error < 0.1, feature


@every_mobilenet
@pytest.mark.parametrize("dilation_rule", ["tensorflow", "torchvision"])
@pytest.mark.parametrize("output_stride", [8, 16, 32])
def test_every_feature_at_every_output_stride(name: str, output_stride: int, dilation_rule: str) -> None:
    features = known_features(name)
    assert set(LEVELS) <= set(features)
    backbone = build(
        name, out_features=features[::-1], output_stride=output_stride, dilation_rule=dilation_rule
    )
    assert set(backbone.feature_info) == set(features)
    for level, feature in enumerate(LEVELS, start=1):
        assert backbone.feature_info[feature].stride == min(2**level, output_stride)
    assert_declaration_is_true(backbone)


@every_mobilenet
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"output_stride": 0}, "output_stride is 0: choose 8, 16 or 32"),
        ({"output_stride": 64}, "output_stride is 64: choose 8, 16 or 32"),
        ({"dilation_rule": "slim"}, "dilation_rule is 'slim': choose 'tensorflow' or 'torchvision'"),
        ({"padding": "valid"}, "padding is 'valid': choose 'torch' or 'same'"),
        ({"out_features": ()}, r"unknown features \[\]: choose from c1"),
    ],
)
def test_other_values_are_refused(name: str, arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        build(name, **arguments)


@every_mobilenet
@pytest.mark.parametrize(
    "out_features", [("c1",), ("c4_expand",), ("c3_depthwise",), ("c4_expand", "last"), LEVELS]
)
def test_nothing_unused_is_built(name: str, out_features: tuple[str, ...]) -> None:
    if not set(out_features) <= set(known_features(name)):
        pytest.skip(f"{name} has no {out_features}")
    assert_every_parameter_learns(build(name, out_features=out_features))


@every_mobilenet
@torch.no_grad()
def test_a_shallow_backbone_is_the_beginning_of_a_deep_one(name: str) -> None:
    features = known_features(name)
    deep = build(name, out_features=features)
    sizes = []
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


@every_mobilenet
@torch.no_grad()
def test_paddings_differ_only_where_a_size_is_even(name: str) -> None:
    """At sizes 32 n + 1 every level is odd, and TensorFlow's padding is the symmetric one."""
    symmetric, same = build(name), build(name, padding="same")
    assert_equal(same(images(65, 97)), symmetric(images(65, 97)), rtol=1e-4, atol=1e-4)
    expected = symmetric(images(64, 97))
    assert not torch.allclose(same(images(64, 97))["c2"], expected["c2"], atol=1e-3)


@every_mobilenet
@torch.no_grad()
def test_any_number_of_image_channels(name: str) -> None:
    for channels in (1, 4):
        outputs = build(name, in_channels=channels)(images(channels=channels))
        assert {output.shape[0] for output in outputs.values()} == {1}


@every_mobilenet
@torch.no_grad()
def test_own_weights_files(name: str, tmp_path: Path) -> None:
    backbone = build(name)
    for parameter in backbone.parameters():
        parameter.add_(0.01 * torch.randn(parameter.shape))
    torch.save(backbone.state_dict(), tmp_path / "w.pth")
    for weights in (tmp_path / "w.pth", str(tmp_path / "w.pth")):
        assert_equal(build(name, weights=weights)(images()), backbone(images()))


@every_mobilenet
def test_batch_norm_settings_reach_every_layer(name: str) -> None:
    norms = [m for m in build(name, norm_eps=0.25, norm_momentum=0.125).modules() if hasattr(m, "momentum")]
    assert norms and {(norm.eps, norm.momentum) for norm in norms} == {(0.25, 0.125)}


@every_backbone
def test_layers_that_are_named_are_all_and_in_order(name: str) -> None:
    backbone = build(name)
    if not isinstance(backbone, HasLayers):
        return
    layers = [layer for group in backbone.layer_groups() for layer in group]
    grouped = [id(parameter) for layer in layers for parameter in layer.parameters()]
    assert sorted(grouped) == sorted(id(parameter) for parameter in backbone.parameters())
    deepest = backbone.layers_until(list(backbone.feature_info)[-1])
    assert deepest == layers[: len(deepest)]
