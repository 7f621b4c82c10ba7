"""LR-ASPP, MobileNetV3's segmentation head, in its three published forms (arXiv:1905.02244, sec. 6.4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pocketvision.core.layers import ConvNormAct, Sampling, initialize, known_sampling, resize_maps
from pocketvision.core.protocols import Library
from pocketvision.core.structures import FeatureInfo, Features
from pocketvision.heads.any_size_gate import gates_of_any_size
from pocketvision.heads.feature_names import find_feature

_POOL_SIZE, _POOL_STRIDE = 49, (16, 20)
_conv = partial(ConvNormAct, activation=partial(nn.ReLU, inplace=True))


def LRASPPHead(  # noqa: N802 (reads as the class that it builds)
    feature_info: Mapping[str, FeatureInfo],
    num_classes: int,
    channels: int = 128,
    form: Literal["paper", "torchvision", "two_skip"] = "paper",
    low: str | Sequence[str] | None = None,
    high: str = "last",
    low_channels: Sequence[int] | None = None,
    pool_size: int | None = _POOL_SIZE,
    pool_stride: tuple[int, int] = _POOL_STRIDE,
    sampling: Sampling = "half_pixel",
) -> PaperLRASPP | TorchvisionLRASPP | TwoSkipLRASPP:
    """The LR-ASPP head of a form: features -> logits (N, num_classes, h, w).

    The published forms differ, and weights fit only the one that they were trained in:

    ===========  ==================  =================  =================================  =========
    form         gate pools          gate's 1x1 conv    skips                              joined by
    ===========  ==================  =================  =================================  =========
    paper        49x49, s (16, 20)   bias               ``c3_depthwise``                   logits' sum
    torchvision  the whole map       no bias            ``c3_first``                       logits' sum
    two_skip     49x49, s (16, 20)   no bias            ``c2`` (64 ch.), ``c1`` (32 ch.)   concatenation
    ===========  ==================  =================  =================================  =========

    ``low`` and ``low_channels`` are None for the form's own; ``low_channels`` are of ``two_skip`` only, and
    the windows of the gate of all but ``torchvision``. ``sampling`` is of ``paper``: how it enlarges.

    Raises:
        ValueError: an unknown form, a value that it does not have, or the backbone does not give a feature.
    """
    if low_channels is not None and form != "two_skip":
        raise ValueError(f"low_channels are of form='two_skip', not of {form!r}: leave them out.")
    if sampling != "half_pixel" and form != "paper":
        raise ValueError(f"sampling is of form='paper', not of {form!r}: leave it out.")
    skips = None if low is None else (low,) if isinstance(low, str) else tuple(low)
    if form == "paper":
        skips = ("c3_depthwise",) if skips is None else skips
        pooling = (pool_size, pool_stride)
        return PaperLRASPP(feature_info, num_classes, channels, skips, high, *pooling, sampling)
    if form == "two_skip":
        skips = ("c2", "c1") if skips is None else skips
        wide = (64, 32) if low_channels is None else tuple(low_channels)
        return TwoSkipLRASPP(feature_info, num_classes, channels, skips, high, wide, pool_size, pool_stride)
    if form != "torchvision":
        raise ValueError(f"form is {form!r}: choose from paper, torchvision, two_skip.")
    if (pool_size, pool_stride) != (_POOL_SIZE, _POOL_STRIDE):
        raise ValueError(
            "form='torchvision' has one gate for the whole map: leave pool_size and pool_stride out."
        )
    skips = ("c3_first",) if skips is None else skips
    if len(skips) != 1:
        raise ValueError(f"form='torchvision' has one low feature, not {len(skips)}: name one.")
    return TorchvisionLRASPP(feature_info, num_classes, channels, skips[0], high)


class PooledGate(nn.Module):
    """(N, C, h, w) -> (N, channels, h, w): a 1x1 convolution gated by what lies around.

    The gate is the sigmoid of a 1x1 convolution (no BatchNorm) of averages over ``pool_size`` windows
    taken every ``pool_stride`` cells, as in TensorFlow's DeepLab. A map smaller than the window is
    averaged as a whole, and so is every map with ``pool_size`` None.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        pool_size: int | None = _POOL_SIZE,
        pool_stride: tuple[int, int] = _POOL_STRIDE,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.pool_size, self.pool_stride = pool_size, pool_stride
        self.reduce = _conv(in_channels, channels)
        self.gate = nn.Conv2d(in_channels, channels, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        if isinstance(height, torch.SymInt) or isinstance(width, torch.SymInt):  # a graph for any size
            gate = gates_of_any_size(self.gate(x), self.pool_size, self.pool_stride)
        else:
            side = max(height, width) if self.pool_size is None else self.pool_size
            window = (min(side, height), min(side, width))
            gate = self.gate(F.avg_pool2d(x, window, self.pool_stride)).sigmoid()
            gate = F.interpolate(gate, (height, width), mode="bilinear", align_corners=True)
        gated: Tensor = self.reduce(x) * gate
        return gated


class PaperLRASPP(nn.Module):
    """Features -> logits (N, num_classes, h, w) at the resolution of the finest ``low`` feature.

    As TensorFlow's DeepLab runs it: the gated ``high`` feature is enlarged to the ``low`` feature (the
    depthwise tensor at stride 8), and the logits of both are summed. Further, finer ``low`` features,
    coarsest first, add theirs to the enlarged sum; the paper has one.

    ``pool_size`` None gives one gate for the whole map. With the paper's 49 that is so wherever one
    window fits, as in its training on 769x769 at output stride 16; 1024x2048 has 1 x 4 windows.

    ``sampling`` is how maps are enlarged: ``align_corners`` in TensorFlow's DeepLab, and always for windows
    of gates.

    Raises:
        ValueError: the backbone does not give a feature, ``low`` names none, or an unknown ``sampling``.
    """

    def __init__(
        self,
        feature_info: Mapping[str, FeatureInfo],
        num_classes: int,
        channels: int = 128,
        low: Sequence[str] = ("c3_depthwise",),
        high: str = "last",
        pool_size: int | None = _POOL_SIZE,
        pool_stride: tuple[int, int] = _POOL_STRIDE,
        sampling: Sampling = "half_pixel",
    ) -> None:
        super().__init__()
        if not low:
            raise ValueError("low names no feature: the paper's is low=('c3_depthwise',).")
        self.low, self.high = tuple(low), high
        self.sampling = known_sampling(sampling)
        self.gated = PooledGate(find_feature(feature_info, high).channels, channels, pool_size, pool_stride)
        self.high_logits = nn.Conv2d(channels, num_classes, 1)
        self.low_logits = nn.ModuleList(
            nn.Conv2d(find_feature(feature_info, name).channels, num_classes, 1) for name in self.low
        )
        initialize(self.gated, "kaiming")
        initialize(self.high_logits, "normal", std=0.01)
        initialize(self.low_logits, "normal", std=0.01)

    def forward(self, features: Features) -> Tensor:
        coarsest, *finer = (features[name] for name in self.low)
        gated = resize_maps(self.gated(features[self.high]), coarsest.shape[-2:], self.sampling)
        logits: Tensor = self.high_logits(gated) + self.low_logits[0](coarsest)
        for low, low_logits in zip(finer, self.low_logits[1:], strict=True):
            logits = resize_maps(logits, low.shape[-2:], self.sampling) + low_logits(low)
        return logits

    def class_layers(self) -> list[str]:
        """Names of the layers with rows for classes."""
        return ["high_logits", *(f"low_logits.{i}" for i in range(len(self.low_logits)))]

    def published_names(self, library: Library) -> dict[str, str]:
        """There are none.

        Raises:
            ValueError: always; ``form="torchvision"`` is the one that torchvision has.
        """
        raise ValueError(f"{library} has no LR-ASPP in the paper's form: torchvision has form='torchvision'.")


class TorchvisionLRASPP(nn.Module):
    """Features -> logits (N, num_classes, h, w) at the resolution of the ``low`` feature.

    torchvision's ``LRASPPHead``: one gate for the whole map, and the gated map is enlarged before its
    logits are taken. torchvision's model reads ``low`` after the *first* block of stride 8.

    Raises:
        ValueError: the backbone does not give a feature.
    """

    def __init__(
        self,
        feature_info: Mapping[str, FeatureInfo],
        num_classes: int,
        channels: int = 128,
        low: str = "c3_first",
        high: str = "last",
    ) -> None:
        super().__init__()
        self.low, self.high = low, high
        high_channels = find_feature(feature_info, high).channels
        self.reduce = _conv(high_channels, channels)
        self.gate = nn.Conv2d(high_channels, channels, 1, bias=False)
        self.high_logits = nn.Conv2d(channels, num_classes, 1)
        self.low_logits = nn.Conv2d(find_feature(feature_info, low).channels, num_classes, 1)
        initialize(self, "kaiming")
        initialize(self.high_logits, "normal", std=0.01)
        initialize(self.low_logits, "normal", std=0.01)

    def forward(self, features: Features) -> Tensor:
        low, high = features[self.low], features[self.high]
        gated = self.reduce(high) * self.gate(high.mean((2, 3), keepdim=True)).sigmoid()
        gated = F.interpolate(gated, low.shape[-2:], mode="bilinear", align_corners=False)
        logits: Tensor = self.high_logits(gated) + self.low_logits(low)
        return logits

    def class_layers(self) -> list[str]:
        """Names of the layers with rows for classes."""
        return ["high_logits", "low_logits"]

    def published_names(self, library: Library) -> dict[str, str]:
        """Our modules -> those of ``classifier`` in torchvision's ``lraspp_mobilenet_v3_large``.

        Raises:
            ValueError: timm has no LR-ASPP.
        """
        if library != "torchvision":
            raise ValueError(f"{library} has no LR-ASPP: choose 'torchvision'.")
        return {
            "reduce.conv": "cbr.0",
            "reduce.norm": "cbr.1",
            "gate": "scale.1",
            "high_logits": "high_classifier",
            "low_logits": "low_classifier",
        }


class TwoSkipLRASPP(nn.Module):
    """Features -> logits (N, num_classes, h, w) at the resolution of the finest ``low`` feature.

    The form of fastseg and mmsegmentation, which read the whole backbone at output stride 8: the gated
    ``high`` feature is enlarged to each ``low`` feature, coarsest first, concatenated with
    ``low_channels`` of it and mixed by a 1x1 convolution.

    Raises:
        ValueError: the backbone does not give a feature, or ``low`` and ``low_channels`` differ in length.
    """

    def __init__(
        self,
        feature_info: Mapping[str, FeatureInfo],
        num_classes: int,
        channels: int = 128,
        low: Sequence[str] = ("c2", "c1"),
        high: str = "last",
        low_channels: Sequence[int] = (64, 32),
        pool_size: int | None = _POOL_SIZE,
        pool_stride: tuple[int, int] = _POOL_STRIDE,
    ) -> None:
        super().__init__()
        self.low, self.high = tuple(low), high
        in_channels = find_feature(feature_info, high).channels
        self.gated = PooledGate(in_channels, channels, pool_size, pool_stride, bias=False)
        self.high_mix = nn.Conv2d(channels, channels, 1)
        self.low_reduce = nn.ModuleList(
            nn.Conv2d(find_feature(feature_info, name).channels, out, 1, bias=False)
            for name, out in zip(self.low, low_channels, strict=True)
        )
        self.mix = nn.ModuleList(_conv(channels + out, channels) for out in low_channels)
        self.logits = nn.Conv2d(channels, num_classes, 1)
        initialize(self, "kaiming")
        initialize(self.logits, "normal", std=0.01)

    def forward(self, features: Features) -> Tensor:
        x = self.high_mix(self.gated(features[self.high]))
        for name, reduce, mix in zip(self.low, self.low_reduce, self.mix, strict=True):
            low = features[name]
            x = F.interpolate(x, low.shape[-2:], mode="bilinear", align_corners=False)
            x = mix(torch.cat([x, reduce(low)], dim=1))
        logits: Tensor = self.logits(x)
        return logits

    def class_layers(self) -> list[str]:
        """Names of the layers with rows for classes."""
        return ["logits"]

    def published_names(self, library: Library) -> dict[str, str]:
        """There are none.

        Raises:
            ValueError: always; fastseg and mmsegmentation have this form.
        """
        raise ValueError(f"{library} has no LR-ASPP with two skips: torchvision has form='torchvision'.")
