"""Inverted residual blocks (arXiv:1801.04381) and the backbone that MobileNetV2 and V3 have in common."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Literal, NamedTuple

from torch import Tensor, nn

from pocketvision.core.layers import Activation, ConvNormAct, SqueezeExcitation, initialize, make_divisible
from pocketvision.core.structures import FeatureInfo, Features

ActivationName = Literal["relu", "relu6", "hardswish"]
ACTIVATIONS: dict[ActivationName, Activation] = {
    "relu": partial(nn.ReLU, inplace=True),
    "relu6": partial(nn.ReLU6, inplace=True),
    "hardswish": partial(nn.Hardswish, inplace=True),
}
Part = Literal["expand", "depthwise", "output"]


class BlockSpec(NamedTuple):
    """One row of an architecture table, with channels already scaled."""

    kernel_size: int
    expanded: int
    out: int
    squeeze: bool
    activation: ActivationName
    stride: int


class InvertedResidual(nn.Module):
    """1x1 expansion, depthwise convolution, squeeze-and-excitation if asked for, linear 1x1 projection.

    There is no expansion convolution where it would not widen. ``stride`` is the real one, which an
    output stride may have reduced to 1: then there is a residual, as in slim and timm. ``until``
    cuts the block after its expansion or depthwise part, for backbones whose deepest feature lies
    inside a block.
    """

    def __init__(
        self,
        in_channels: int,
        spec: BlockSpec,
        *,
        stride: int,
        dilation: int,
        norm_eps: float,
        norm_momentum: float,
        until: Part = "output",
    ) -> None:
        super().__init__()
        conv = partial(ConvNormAct, norm_eps=norm_eps, norm_momentum=norm_momentum)
        activation = ACTIVATIONS[spec.activation]
        self.until = until
        self.has_residual = stride == 1 and in_channels == spec.out
        self.expand: nn.Module = (
            conv(in_channels, spec.expanded, activation=activation)
            if spec.expanded != in_channels
            else nn.Identity()
        )
        if until == "expand":
            return
        self.depthwise = conv(
            spec.expanded,
            spec.expanded,
            spec.kernel_size,
            stride=stride,
            dilation=dilation,
            groups=spec.expanded,
            activation=activation,
        )
        if until == "depthwise":
            return
        self.squeeze: nn.Module = (
            SqueezeExcitation(spec.expanded, make_divisible(spec.expanded / 4))
            if spec.squeeze
            else nn.Identity()
        )
        self.project = conv(spec.expanded, spec.out, activation=None)

    def parts(self, x: Tensor) -> dict[Part, Tensor]:
        """The tensors inside the block by name, up to ``until``."""
        parts: dict[Part, Tensor] = {"expand": self.expand(x)}
        if self.until != "expand":
            parts["depthwise"] = self.depthwise(parts["expand"])
        if self.until == "output":
            out = self.project(self.squeeze(parts["depthwise"]))
            parts["output"] = x + out if self.has_residual else out
        return parts

    def forward(self, x: Tensor) -> Tensor:
        return self.parts(x)[self.until]


class Tap(NamedTuple):
    """Where a feature is read: part of ``block`` (-1: stem, number of blocks: last convolution)."""

    block: int
    part: Part


class InvertedResidualBackbone(nn.Module):
    """Stem, inverted residual blocks and a last 1x1 convolution, read at named places.

    (N, 3, H, W) normalised images -> :data:`Features`. ``c1``..``c5`` are the outputs of the last
    block at nominal stride 2..32; ``c4_expand`` the expanded tensor of the block after c4;
    ``c3_depthwise`` the last block of c3 after its depthwise convolution (likewise for other
    levels); ``last`` the 1x1 convolution before pooling. Nothing deeper than needed is built.

    ``output_stride`` 8 or 16 replaces later strides by dilation. As in TensorFlow's slim and timm,
    the block that loses its stride keeps the previous dilation and the following ones use the new.

    Raises:
        ValueError: an unknown feature name (the known ones are listed) or output stride.
    """

    def __init__(
        self,
        *,
        stem_channels: int,
        blocks: Sequence[BlockSpec],
        last_channels: int,
        activation: ActivationName,
        out_features: Sequence[str],
        output_stride: int,
        norm_eps: float,
        norm_momentum: float,
    ) -> None:
        super().__init__()
        if output_stride not in (8, 16, 32):
            raise ValueError(f"output_stride is {output_stride}: choose 8, 16 or 32.")
        taps = feature_taps(stem_channels, blocks)
        unknown = [name for name in out_features if name not in taps]
        if unknown or not out_features:
            raise ValueError(f"unknown features {unknown}: choose from {', '.join(taps)}.")
        deepest = max((taps[name] for name in out_features), key=_depth)

        conv = partial(
            ConvNormAct,
            activation=ACTIVATIONS[activation],
            norm_eps=norm_eps,
            norm_momentum=norm_momentum,
        )
        residual = partial(InvertedResidual, norm_eps=norm_eps, norm_momentum=norm_momentum)
        self.stem = conv(in_channels=3, out_channels=stem_channels, kernel_size=3, stride=2)
        self.blocks = nn.ModuleList()
        channels, stride, dilation = stem_channels, 2, 1
        info = {"c1": FeatureInfo(stem_channels, 2)}
        for index, spec in enumerate(blocks[: deepest.block + 1]):
            keeps_stride = stride * spec.stride <= output_stride
            block_stride = spec.stride if keeps_stride else 1
            until = deepest.part if index == deepest.block else "output"
            self.blocks.append(residual(channels, spec, stride=block_stride, dilation=dilation, until=until))
            widths = {"expand": (spec.expanded, stride), "depthwise": (spec.expanded, stride * block_stride)}
            stride *= block_stride
            dilation *= 1 if keeps_stride else spec.stride
            widths["output"] = (spec.out, stride)
            channels = spec.out
            for name, tap in taps.items():
                if tap.block == index:
                    info[name] = FeatureInfo(*widths[tap.part])
        if deepest.block == len(blocks):
            self.last = conv(in_channels=channels, out_channels=last_channels)
            info["last"] = FeatureInfo(last_channels, stride)
        self._taps = {name: taps[name] for name in sorted(out_features, key=lambda n: _depth(taps[n]))}
        self.feature_info = {name: info[name] for name in self._taps}
        initialize(self, "kaiming")

    def forward(self, images: Tensor) -> Features:
        parts: dict[Tap, Tensor] = {}
        x = parts[Tap(-1, "output")] = self.stem(images)
        for index, block in enumerate(self.blocks):
            assert isinstance(block, InvertedResidual)
            tensors = block.parts(x)
            parts.update({Tap(index, part): tensor for part, tensor in tensors.items()})
            x = tensors[block.until]
        if hasattr(self, "last"):
            parts[Tap(len(self.blocks), "output")] = self.last(x)
        return {name: parts[tap] for name, tap in self._taps.items()}


def _depth(tap: Tap) -> tuple[int, int]:
    return tap.block, ("expand", "depthwise", "output").index(tap.part)


def feature_taps(stem_channels: int, blocks: Sequence[BlockSpec]) -> dict[str, Tap]:
    """Every feature name of a table and where it is read, finest first."""
    taps = {}
    level, ends, in_channels = 1, {1: -1}, [stem_channels, *(spec.out for spec in blocks)]
    for index, spec in enumerate(blocks):
        level += spec.stride // 2
        ends[level] = index
    for level, index in ends.items():
        if index >= 0:
            taps[f"c{level}_depthwise"] = Tap(index, "depthwise")
        taps[f"c{level}"] = Tap(index, "output")
        if index + 1 < len(blocks) and blocks[index + 1].expanded != in_channels[index + 1]:
            taps[f"c{level}_expand"] = Tap(index + 1, "expand")
    taps["last"] = Tap(len(blocks), "output")
    return taps
