"""The blocks of MobileNetV1 (arXiv:1704.04861), V2 (arXiv:1801.04381), V3 (arXiv:1905.02244) and EdgeTPU."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple

from torch import Tensor, nn

from pocketvision.core.layers import Activation, ConvNormAct, SqueezeExcitation, make_divisible

ActivationName = Literal["relu", "relu6", "hardswish"]
ACTIVATIONS: dict[ActivationName, Activation] = {
    "relu": partial(nn.ReLU, inplace=True),
    "relu6": partial(nn.ReLU6, inplace=True),
    "hardswish": partial(nn.Hardswish, inplace=True),
}
Conv = Callable[..., ConvNormAct]
Part = Literal["expand", "depthwise", "output"]


class BlockSpec(NamedTuple):
    """One row of an architecture table, with channels already scaled.

    ``fused`` has the kernel in the expansion, not in a depthwise convolution (:class:`FusedResidual`).
    ``residual`` False adds no input where stride and channels would allow it.
    """

    kernel_size: int
    expanded: int
    out: int
    squeeze: bool
    activation: ActivationName
    stride: int
    fused: bool = False
    residual: bool = True


class Block(nn.Module, ABC):
    """(N, in_channels, H, W) -> (N, out, H / stride, W / stride), with its inner tensors by name.

    ``until`` cuts a block after its expansion or depthwise part, for backbones whose deepest feature
    lies inside a block. ``stride`` and ``dilation`` are the real ones, ``spec.stride`` the table's.
    """

    until: Part

    @abstractmethod
    def parts(self, x: Tensor) -> dict[Part, Tensor]:
        """The tensors inside the block by name, up to ``until``."""

    def forward(self, x: Tensor) -> Tensor:
        return self.parts(x)[self.until]


class SeparableBlock(Block):
    """3x3 depthwise convolution and 1x1 convolution, both with an activation and without a residual."""

    def __init__(
        self,
        conv: Conv,
        in_channels: int,
        spec: BlockSpec,
        *,
        stride: int,
        dilation: int,
        has_residual: bool,
        until: Part,
    ) -> None:
        super().__init__()
        self.until = until
        activation = ACTIVATIONS[spec.activation]
        self.depthwise = conv(
            in_channels, in_channels, spec.kernel_size,
            stride=stride, dilation=dilation, groups=in_channels, activation=activation,
        )  # fmt: skip
        if until == "output":
            self.pointwise = conv(in_channels, spec.out, activation=activation)

    def parts(self, x: Tensor) -> dict[Part, Tensor]:
        parts: dict[Part, Tensor] = {"depthwise": self.depthwise(x)}
        if self.until == "output":
            parts["output"] = self.pointwise(parts["depthwise"])
        return parts


class InvertedResidual(Block):
    """1x1 expansion, depthwise convolution, squeeze-and-excitation if asked for, linear 1x1 projection.

    There is no expansion convolution where it would not widen. ``has_residual`` adds the input where
    the channels allow it.
    """

    def __init__(
        self,
        conv: Conv,
        in_channels: int,
        spec: BlockSpec,
        *,
        stride: int,
        dilation: int,
        has_residual: bool,
        until: Part,
    ) -> None:
        super().__init__()
        self.until = until
        self.has_residual = has_residual and in_channels == spec.out
        activation, width = ACTIVATIONS[spec.activation], spec.expanded
        self.expand: nn.Module = nn.Identity()
        if width != in_channels:
            self.expand = conv(in_channels, width, activation=activation)
        if until == "expand":
            return
        self.depthwise = conv(
            width, width, spec.kernel_size,
            stride=stride, dilation=dilation, groups=width, activation=activation,
        )  # fmt: skip
        if until == "depthwise":
            return
        self.squeeze: nn.Module = nn.Identity()
        if spec.squeeze:
            self.squeeze = SqueezeExcitation(width, make_divisible(width / 4))
        self.project = conv(width, spec.out, activation=None)

    def parts(self, x: Tensor) -> dict[Part, Tensor]:
        parts: dict[Part, Tensor] = {"expand": self.expand(x)}
        if self.until != "expand":
            parts["depthwise"] = self.depthwise(parts["expand"])
        if self.until == "output":
            out = self.project(self.squeeze(parts["depthwise"]))
            parts["output"] = x + out if self.has_residual else out
        return parts


class FusedResidual(Block):
    """Expansion by a whole k x k convolution, linear 1x1 projection: MobileNetEdgeTPU's first blocks.

    Where the expansion would not widen there is none, and with it no kernel. ``has_residual`` as in
    :class:`InvertedResidual`. No feature is read from inside.
    """

    def __init__(
        self,
        conv: Conv,
        in_channels: int,
        spec: BlockSpec,
        *,
        stride: int,
        dilation: int,
        has_residual: bool,
        until: Part,
    ) -> None:
        super().__init__()
        self.until = until
        self.has_residual = has_residual and in_channels == spec.out
        self.expand: nn.Module = nn.Identity()
        if spec.expanded != in_channels:
            self.expand = conv(
                in_channels, spec.expanded, spec.kernel_size,
                stride=stride, dilation=dilation, activation=ACTIVATIONS[spec.activation],
            )  # fmt: skip
        self.project = conv(spec.expanded, spec.out, activation=None)

    def parts(self, x: Tensor) -> dict[Part, Tensor]:
        out = self.project(self.expand(x))
        return {"output": x + out if self.has_residual else out}
