"""Blocks that go through their expanded channels in groups, for less memory (arXiv:1801.04381, sec. 5.1)."""

from __future__ import annotations

from collections.abc import Container, Sequence
from copy import deepcopy
from itertools import pairwise
from typing import TypeVar

import torch
from torch import Tensor, nn

from pocketvision.backbones.blocks import Block, InvertedResidual, Part
from pocketvision.backbones.mobilenet import MobileNet
from pocketvision.core.errors import InputError
from pocketvision.core.layers import ConvNormAct, SqueezeExcitation

_Model = TypeVar("_Model", bound=nn.Module)

ALIGNMENT = 8
"""Groups are of as many channels or a multiple, where a width allows it: processors work on as many."""


def split_blocks(model: _Model, num_groups: int, only: Container[str] | None = None) -> _Model:
    """A copy of ``model`` for inference whose inverted residuals run in ``num_groups`` groups of channels.

    ``model`` is anything with our backbones inside: a detector, segmenter, classifier, several tasks.
    ``only`` names the blocks to split, of :func:`splittable_blocks`; default: all of them.

    Raises:
        InputError: ``num_groups`` is below 1, or the model has no block that can be split.
    """
    if num_groups < 1:
        raise InputError(f"{num_groups} groups can't be made of a block's channels: give a number from 1.")
    split = deepcopy(model).eval()
    names = splittable_blocks(split)
    if not names:
        raise InputError(
            "This model has no inverted residual to split: MobileNetV2 and V3 have, and those that a feature "
            "is read from inside stay whole."
        )
    for name in names:
        if num_groups > 1 and (only is None or name in only):
            parent, _, number = name.rpartition(".")
            blocks = split.get_submodule(parent)
            block = split.get_submodule(name)
            assert isinstance(blocks, nn.ModuleList) and isinstance(block, InvertedResidual)
            blocks[int(number)] = SplitResidual(block, num_groups)
    return split


def splittable_blocks(model: nn.Module) -> list[str]:
    """Names of the inverted residuals in ``model`` that can be split, in the order in which they run.

    A block that a feature is read from inside (``c4_expand``, ``c3_depthwise``) is not among them: the head
    needs all of its channels at once.
    """
    return [
        f"{prefix}.blocks.{number}".lstrip(".")
        for prefix, backbone in model.named_modules()
        if isinstance(backbone, MobileNet)
        for number, block in enumerate(backbone.blocks)
        if isinstance(block, InvertedResidual) and number not in backbone.whole_blocks()
    ]


def channel_ranges(width: int, num_groups: int) -> list[tuple[int, int]]:
    """``width`` channels in at most ``num_groups`` ranges, as even as multiples of :data:`ALIGNMENT` can be.

    A width of fewer multiples than groups, or of none, is divided channel by channel.
    """
    unit = ALIGNMENT if width % ALIGNMENT == 0 and width >= ALIGNMENT * num_groups else 1
    count = min(num_groups, width)
    edges = [width // unit * number // count * unit for number in range(count + 1)]
    return list(pairwise(edges))


class SplitResidual(Block):
    """An :class:`InvertedResidual` in inference, as a sum over groups of its expanded channels.

    (N, in_channels, H, W) -> (N, out, H / stride, W / stride). The expanded tensor is never whole: its groups
    are expanded, filtered and projected one after the other, and what they are projected to is added up
    (arXiv:1801.04381, sec. 5.1: F(x) as the sum of B_i(N(A_i(x)))). The sum of convolutions is that of the
    block in another order, so outputs agree to rounding.

    Squeeze-and-excitation looks at all channels before it scales any. Such a block goes through its groups
    twice, for the means of all channels and then for the output, so that expansion and depthwise convolution
    are computed twice. Weights are copies.
    """

    until: Part = "output"

    def __init__(self, block: InvertedResidual, num_groups: int) -> None:
        super().__init__()
        ranges = channel_ranges(block.depthwise.conv.out_channels, num_groups)
        self.groups = nn.ModuleList(_Group(block, *channels) for channels in ranges)
        self.squeeze = block.squeeze if isinstance(block.squeeze, SqueezeExcitation) else None
        self.norm = block.project.norm
        self.has_residual = block.has_residual

    def parts(self, x: Tensor) -> dict[Part, Tensor]:
        """The output alone: nothing inside is whole."""
        no_gates: Sequence[Tensor | None] = [None] * len(self.groups)
        gates = no_gates if self.squeeze is None else self._gates(x, self.squeeze)
        first, *others = zip(self.groups, gates, strict=True)
        out: Tensor = first[0](x, first[1])
        for group, gate in others:
            out = out + group(x, gate)
        out = self.norm(out)
        return {"output": x + out if self.has_residual else out}

    def _gates(self, x: Tensor, squeeze: SqueezeExcitation) -> Sequence[Tensor | None]:
        means = [group.filtered(x).mean((2, 3), keepdim=True) for group in self._own()]
        gates: tuple[Tensor, ...] = torch.split(
            squeeze.gate(torch.cat(means, dim=1)), [mean.shape[1] for mean in means], dim=1
        )
        return gates

    def _own(self) -> list[_Group]:
        return [group for group in self.groups if isinstance(group, _Group)]


class _Group(nn.Module):
    """Expanded channels ``start`` to ``stop`` of a block, from its input to their share of its output."""

    def __init__(self, block: InvertedResidual, start: int, stop: int) -> None:
        super().__init__()
        own = slice(start, stop)
        self.channels: slice | None = own
        self.expand: nn.Module = nn.Identity()
        if isinstance(block.expand, ConvNormAct):
            self.channels, self.expand = None, _outputs(block.expand, own)
        self.depthwise = _outputs(block.depthwise, own)
        self.project = _inputs(block.project.conv, own)

    def forward(self, x: Tensor, gate: Tensor | None) -> Tensor:
        filtered = self.filtered(x)
        projected: Tensor = self.project(filtered if gate is None else filtered * gate)
        return projected

    def filtered(self, x: Tensor) -> Tensor:
        """After the depthwise convolution."""
        filtered: Tensor = self.depthwise(self.expand(x if self.channels is None else x[:, self.channels]))
        return filtered


def _outputs(layer: ConvNormAct, own: slice) -> ConvNormAct:
    """A convolution with normalization and activation for some of its output channels."""
    part = deepcopy(layer)
    part.conv = _convolution(layer.conv, layer.conv.weight[own], layer.conv.bias, own)
    if isinstance(layer.norm, nn.BatchNorm2d):
        part.norm.num_features = part.conv.out_channels
        for name in ("weight", "bias", "running_mean", "running_var"):
            getattr(part.norm, name).data = getattr(layer.norm, name).data[own].clone()
    return part


def _inputs(conv: nn.Conv2d, own: slice) -> nn.Conv2d:
    """A 1x1 convolution for some of its input channels; the first has the bias."""
    bias = conv.bias if own.start == 0 else None
    return _convolution(conv, conv.weight[:, own], bias, slice(None))


def _convolution(conv: nn.Conv2d, weight: Tensor, bias: Tensor | None, own: slice) -> nn.Conv2d:
    """A copy of ``conv`` with other weights, and of its bias the ``own`` part."""
    part = deepcopy(conv)
    part.weight = nn.Parameter(weight.detach().clone(memory_format=torch.contiguous_format))
    part.bias = None if bias is None else nn.Parameter(bias.detach()[own].clone())
    is_depthwise = conv.groups > 1
    part.out_channels, part.groups = weight.shape[0], weight.shape[0] if is_depthwise else 1
    part.in_channels = weight.shape[0] if is_depthwise else weight.shape[1]
    return part
