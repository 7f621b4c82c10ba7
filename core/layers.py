"""The building blocks that backbones and heads share."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Literal, cast, get_args

import torch
import torch.fx
import torch.nn.functional as F
from torch import Tensor, nn

from pocketvision.core.errors import InputError

Activation = Callable[[], nn.Module]
Padding = Literal["torch", "same"]
Sampling = Literal["half_pixel", "align_corners", "asymmetric"]
"""Where a pixel of a resized map lies on the other, in the words of ONNX's Resize: its center by the ratio of
the sizes, the centers of corners on each other, or its upper left corner by the ratio."""


def make_divisible(value: float, divisor: int = 8, minimum: int | None = None) -> int:
    """Round channels to a multiple of ``divisor``, never more than 10 % down.

    The rule of all published MobileNetV2 and V3 code (``_make_divisible`` in TensorFlow's slim).

    Raises:
        ValueError: ``value`` is not above 0.
    """
    if not value > 0:
        raise ValueError(f"a layer of {value} channels is none: give a width above 0.")
    rounded = max(minimum or divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded


class BatchNorm(nn.BatchNorm2d):
    """BatchNorm that trains at batch size 1.

    Where a channel has a single value - a 1x1 map of one image - its variance is undefined and
    PyTorch raises; there the running statistics are used, with a warning. ``is_frozen`` uses them
    always and keeps them; scale and shift still learn.
    """

    is_frozen = False

    def forward(self, x: Tensor) -> Tensor:
        if not self.training and self.running_mean is not None:  # PyTorch's own checks stop torch.fx
            return F.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps
            )
        if isinstance(x, torch.fx.Proxy):
            raise InputError("torch.fx and TorchScript take a model for inference only: call eval() before.")
        has_one_value = self.training and x.shape[0] * x.shape[2] * x.shape[3] == 1
        if has_one_value and not self.is_frozen:
            warnings.warn(
                "A BatchNorm saw one value per channel and used its running statistics: "
                "a batch size of 2 or more lets it learn.",
                stacklevel=2,
            )
        if has_one_value or (self.training and self.is_frozen):
            return F.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps
            )
        return super().forward(x)


NORMS = nn.BatchNorm2d, nn.SyncBatchNorm
"""Whose statistics can be kept."""


def freeze_norms(module: nn.Module) -> None:
    """Let every BatchNorm inside keep and use its running statistics in training too.

    Those of other libraries, such as timm's, and synchronized ones need :func:`settle_frozen_norms` for it.
    """
    for layer in module.modules():
        if isinstance(layer, NORMS):
            layer.is_frozen = True  # type: ignore[assignment]  # as BatchNorm declares it


def settle_frozen_norms(module: nn.Module) -> None:
    """Put frozen BatchNorms of other classes into inference mode, which every ``train()`` ends."""
    for layer in module.modules():
        if isinstance(layer, NORMS) and getattr(layer, "is_frozen", False):
            layer.train(layer.training and isinstance(layer, BatchNorm))


class SameConv2d(nn.Conv2d):
    """Convolution with TensorFlow's SAME padding, computed from the size of the input.

    Zeros that can't be split evenly go to the bottom and right: stride 2 on an even size pads (0, 1)
    for a 3x3 kernel, where PyTorch's symmetric padding has (1, 1) and so samples one pixel earlier.
    On sizes ``stride * n + 1`` both are the same. The output has ceil(size / stride) either way.
    """

    def forward(self, x: Tensor) -> Tensor:
        top, bottom = self.pads(x.shape[2], 0)
        left, right = self.pads(x.shape[3], 1)
        return super().forward(F.pad(x, (left, right, top, bottom)))

    def pads(self, size: int, axis: int) -> tuple[int, int]:
        """Zeros before and after an input of ``size`` along ``axis`` (0: height)."""
        stride, extent = self.stride[axis], self.dilation[axis] * (self.kernel_size[axis] - 1) + 1
        total = extent - 1 - (size - 1) % stride
        if extent < stride:  # never negative otherwise, and symbolic sizes do not see through a max
            total = max(total, 0)
        return total // 2, total - total // 2


class ConvNormAct(nn.Sequential):
    """Convolution without bias, BatchNorm, activation (none for ``activation=None``).

    ``padding`` keeps ceil(size / stride): ``"torch"`` is symmetric, ``"same"`` TensorFlow's
    (:class:`SameConv2d`), which weights trained there need; without a stride they are equal.
    ``groups=in_channels`` makes it depthwise.

    Raises:
        ValueError: another ``padding``.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 1,
        *,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        activation: Activation | None,
        norm_eps: float = 1e-5,
        norm_momentum: float = 0.1,
        padding: Padding = "torch",
    ) -> None:
        if padding not in ("torch", "same"):
            raise ValueError(f"padding is {padding!r}: choose 'torch' or 'same'.")
        super().__init__()
        is_computed = padding == "same" and stride > 1
        conv = SameConv2d if is_computed else nn.Conv2d
        pad = 0 if is_computed else (kernel_size - 1) // 2 * dilation
        self.conv = conv(in_channels, out_channels, kernel_size, stride, pad, dilation, groups, bias=False)
        self.norm = BatchNorm(out_channels, eps=norm_eps, momentum=norm_momentum)
        if activation is not None:
            self.activation = activation()


class Residual(nn.Sequential):
    """ReLU of ``x`` plus what its layers make of it (arXiv:1512.03385, sec. 3.2).

    Not ReLU6: ONNX Runtime computes convolution, sum and ReLU at once, a clip apart and in another layout.
    """

    def forward(self, x: Tensor) -> Tensor:
        added = x
        for layer in self:
            added = layer(added)
        return F.relu(x + added)


def zero_separable(
    conv: Callable[..., ConvNormAct], channels: int, kernel_size: int, stride: int = 1
) -> nn.Sequential:
    """A depthwise convolution, then a 1x1 one without activation, to be added to a map.

    It is 0 before training, as its last BatchNorm's weight is (arXiv:1706.02677, sec. 5.1): what reads the
    sum learns from the map at once, through however many such blocks.
    """
    depthwise = conv(channels, channels, kernel_size, stride=stride, groups=channels)
    pointwise = conv(channels, channels, activation=None)
    nn.init.zeros_(pointwise.norm.weight)
    return nn.Sequential(depthwise, pointwise)


def residual_separables(
    conv: Callable[..., ConvNormAct], channels: int, kernel_size: int, depth: int
) -> nn.Sequential:
    """``depth`` separable blocks, each added to what it reads: before training ReLU of that."""
    return nn.Sequential(*(Residual(zero_separable(conv, channels, kernel_size)) for _ in range(depth)))


class SqueezeExcitation(nn.Module):
    """Squeeze-and-excitation as in MobileNetV3: (N, C, H, W) -> (N, C, H, W).

    ReLU inside and a hard sigmoid as the gate (arXiv:1905.02244, sec. 5.3).
    """

    def __init__(self, channels: int, squeeze_channels: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, squeeze_channels, 1)
        self.expand = nn.Conv2d(squeeze_channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate(x.mean((2, 3), keepdim=True))

    def gate(self, means: Tensor) -> Tensor:
        """Means over the map (N, C, 1, 1) -> what each channel is multiplied by."""
        return F.hardsigmoid(self.expand(F.relu(self.reduce(means))))


class Normalize(nn.Module):
    """uint8 or 0..255 float images -> normalized float32: ``(x / 255 - mean) / std``, channel by channel.

    What comes out has the type of the model's weights, where the whole model was made half precision.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1) * 255, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        # One copy in all; fresh memory costs more than the arithmetic.
        normalized = images.to(torch.float32, copy=True).sub_(self.mean).div_(self.std)
        return normalized if self.mean.dtype == torch.float32 else normalized.to(self.mean.dtype)


IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def normalize_channels(num_channels: int, mean: Sequence[float], std: Sequence[float]) -> Normalize:
    """:class:`Normalize` for so many channels; ImageNet's numbers, which are of RGB, give others their mean.

    Raises:
        ValueError: the numbers are of another number of channels.
    """
    values = []
    for name, stated, published in (("mean", mean, IMAGENET_MEAN), ("std", std, IMAGENET_STD)):
        if tuple(stated) == published and num_channels != len(published):
            stated = (sum(published) / len(published),) * num_channels
        if len(stated) != num_channels:
            raise ValueError(
                f"{name} has {len(stated)} numbers: give one for each of {num_channels} channels."
            )
        values.append(stated)
    return Normalize(*values)


def known_sampling(sampling: str) -> Sampling:
    """``sampling`` itself.

    Raises:
        ValueError: there is none of this name.
    """
    for name in get_args(Sampling):
        if name == sampling:
            return cast(Sampling, name)
    raise ValueError(f"sampling is {sampling!r}: choose from {', '.join(get_args(Sampling))}.")


def resize_maps(maps: Tensor, size: tuple[int, ...], sampling: Sampling = "half_pixel") -> Tensor:
    """Bilinear interpolation of maps (N, C, h, w) to ``size`` (height, width), without antialiasing.

    ``align_corners`` and ``asymmetric`` are TensorFlow's ``resize_bilinear`` before its version 2, with and
    without the option of that name.
    """
    if sampling != "asymmetric":
        return F.interpolate(maps, size, mode="bilinear", align_corners=sampling == "align_corners")
    # With a row and a column more on both, steps from corner to corner are the ratio of the sizes.
    maps = torch.cat((maps, maps[:, :, -1:]), dim=2)
    maps = torch.cat((maps, maps[..., -1:]), dim=3)
    larger = F.interpolate(maps, (size[0] + 1, size[1] + 1), mode="bilinear", align_corners=True)
    return larger[..., : size[0], : size[1]]


def initialize(module: nn.Module, mode: Literal["kaiming", "normal"], std: float = 0.03) -> None:
    """Initialize convolutions in place; BatchNorm starts as the identity and biases at 0.

    ``kaiming`` (fan out) is what torchvision's classifiers use, ``normal`` with ``std`` 0.03 what
    SSDLite's heads and extra blocks use, in TensorFlow and torchvision alike.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            if mode == "kaiming":
                nn.init.kaiming_normal_(layer.weight, mode="fan_out")
            else:
                nn.init.normal_(layer.weight, std=std)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
