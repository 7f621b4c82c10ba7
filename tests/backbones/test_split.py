"""Blocks in groups of channels compute what whole blocks do, and hold less at a time."""

from __future__ import annotations

import weakref
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from pocketvision.backbones import WithExtraBlocks, mobilenet_v1, mobilenet_v2, mobilenet_v3_small
from pocketvision.backbones.blocks import BlockSpec, InvertedResidual
from pocketvision.backbones.split import SplitResidual, channel_ranges, split_blocks, splittable_blocks
from pocketvision.core.errors import InputError
from pocketvision.core.layers import ConvNormAct
from pocketvision.costs.measure import measure_cost
from pocketvision.deploy.runtimes.graphs import fold_norms


def trained(model: nn.Module) -> nn.Module:
    """With statistics and shifts that are not those of a new BatchNorm."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight.data, module.running_var):
                nn.init.uniform_(tensor, 0.5, 1.5)
            for tensor in (module.bias.data, module.running_mean):
                nn.init.normal_(tensor, std=0.3)
    return model.eval()


@settings(max_examples=25, deadline=None)
@given(
    channels=st.integers(1, 20),
    expanded=st.integers(1, 40),
    out=st.integers(1, 20),
    groups=st.integers(1, 45),
    kernel=st.sampled_from([3, 5]),
    squeeze=st.booleans(),
    stride=st.sampled_from([1, 2]),
    dilation=st.sampled_from([1, 2]),
    same=st.booleans(),
    is_folded=st.booleans(),
)
def test_a_split_block_computes_what_it_did_whole(
    channels: int, expanded: int, out: int, groups: int, kernel: int, squeeze: bool, stride: int,
    dilation: int, same: bool, is_folded: bool,
) -> None:  # fmt: skip
    """Groups that divide the channels or not, more groups than channels, no expansion, a residual."""
    torch.manual_seed(expanded)
    conv = partial(ConvNormAct, padding="same" if same else "torch")
    spec = BlockSpec(kernel, expanded, out, squeeze, "hardswish", stride)
    block = InvertedResidual(
        conv, channels, spec, stride=stride, dilation=dilation, has_residual=stride == 1, until="output"
    )
    trained(block)
    if is_folded:
        fold_norms(block)
    split = SplitResidual(block, groups)
    images = torch.randn(2, channels, 9, 7)
    with torch.no_grad():
        torch.testing.assert_close(split(images), block(images), atol=1e-5, rtol=1e-5)
    assert len(split.groups) == min(groups, expanded)


@given(width=st.integers(1, 200), groups=st.integers(1, 220))
def test_ranges_cover_every_channel_once(width: int, groups: int) -> None:
    ranges = channel_ranges(width, groups)
    assert [channel for start, stop in ranges for channel in range(start, stop)] == list(range(width))
    sizes = [stop - start for start, stop in ranges]
    assert min(sizes) >= 1 and max(sizes) - min(sizes) <= 8
    if width % 8 == 0 and width >= 8 * groups:
        assert all(size % 8 == 0 for size in sizes)


def test_blocks_that_a_feature_is_read_from_inside_stay_whole() -> None:
    backbone = mobilenet_v2(width_mult=0.35, out_features=("c2_depthwise", "c3_expand", "c4"))
    names = splittable_blocks(backbone)
    taps = {"blocks.2", "blocks.6"}  # the last of c2, and the one after c3
    assert taps.isdisjoint(names) and {"blocks.1", "blocks.3"} <= set(names)
    trained(backbone)
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        expected, found = backbone(images), split_blocks(backbone, 3)(images)
    assert list(found) == list(expected)
    for name, feature in expected.items():
        torch.testing.assert_close(found[name], feature, atol=1e-5, rtol=1e-5)


def test_a_pyramid_is_split_inside_and_the_model_itself_stays() -> None:
    torch.manual_seed(0)
    pyramid = trained(
        WithExtraBlocks(
            mobilenet_v3_small(width_mult=0.5, out_features=("c4_expand", "last")), channels=(16,)
        )
    )
    keys = set(pyramid.state_dict())
    split = split_blocks(pyramid, 2, only={"backbone.blocks.1"})
    kinds = [type(block).__name__ for block in split.backbone.blocks]  # type: ignore[union-attr]
    assert kinds[:3] == ["InvertedResidual", "SplitResidual", "InvertedResidual"]
    assert set(pyramid.state_dict()) == keys and not split.training
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        for found, expected in zip(split(images).values(), pyramid(images).values(), strict=True):
            torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_groups_add_multiplications_only_with_squeeze_and_excitation() -> None:
    plain = mobilenet_v2(width_mult=0.35, out_features=("c3",))
    squeezed = mobilenet_v3_small(width_mult=0.5, out_features=("c3",))
    for backbone, is_equal in ((plain, True), (squeezed, False)):
        whole, split = (measure_cost(model, (64, 64)) for model in (backbone, split_blocks(backbone, 4)))
        assert (split.madds == whole.madds) is is_equal and split.params == whole.params


class Alive:
    """Counts the tensors of one shape that exist at once."""

    def __init__(self) -> None:
        self.now = self.most = 0

    def __call__(self, module: nn.Module, inputs: object, output: Tensor) -> None:
        self.now += 1
        self.most = max(self.most, self.now)
        weakref.finalize(output, self.leave)

    def leave(self) -> None:
        self.now -= 1


def test_a_backbone_frees_what_is_inside_its_blocks() -> None:
    """Else the expanded tensors of all blocks would be there at the end."""
    backbone = mobilenet_v2(width_mult=0.35).eval()
    alive = Alive()
    for block in backbone.blocks:
        block.depthwise.register_forward_hook(alive)  # type: ignore[union-attr]
    with torch.inference_mode():
        backbone(torch.randn(1, 3, 64, 64))
    assert (alive.now, alive.most) == (0, 1)


def test_what_can_not_be_split_is_said() -> None:
    with pytest.raises(InputError, match="no inverted residual"):
        split_blocks(mobilenet_v1(width_mult=0.25), 2)
    with pytest.raises(InputError, match="0 groups"):
        split_blocks(mobilenet_v2(width_mult=0.35), 0)
