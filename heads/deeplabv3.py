"""DeepLabv3's head with and without atrous branches, and the auxiliary head of torchvision's models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pocketvision.core.layers import ConvNormAct, initialize
from pocketvision.core.protocols import Library
from pocketvision.core.structures import FeatureInfo, Features
from pocketvision.heads.feature_names import find_feature

Form = Literal["raspp", "aspp", "torchvision"]
_conv = partial(ConvNormAct, activation=partial(nn.ReLU, inplace=True))

RATES_AT_STRIDE_16 = (6, 12, 18)
TORCHVISION_RATES = (12, 24, 36)


class DeepLabV3Head(nn.Module):
    """Features -> logits (N, num_classes, h, w) at the resolution of ``feature``.

    A 1x1 convolution, 3x3 convolutions with dilation ("atrous spatial pyramid pooling", ASPP) and the
    average of the whole map are concatenated and mixed by a 1x1 convolution.

    ============  =========================================  ===========================  =======
    form          atrous branches                            before the logits            dropout
    ============  =========================================  ===========================  =======
    raspp         none: Mobile DeepLabv3                                                  0.1
                  (arXiv:1801.04381, sec. 6.3)
    aspp          3; rates 6, 12, 18 at output stride 16,                                 0.1
                  twice that at 8 (arXiv:1706.05587, 3.3)
    torchvision   3; rates 12, 24, 36 at any stride, as      3x3 convolution, BatchNorm,  0.5
                  its published weights were trained         ReLU
    ============  =========================================  ===========================  =======

    ``rates`` and ``dropout`` replace the form's own; the dropout comes after the mixing. ``separable_atrous``
    has a dilated depthwise convolution and a 1x1 convolution in each atrous branch, each with BatchNorm and
    ReLU (arXiv:1802.02611, sec. 3.1; TensorFlow's ``--aspp_with_separable_conv``), ``image_pooling=False``
    no average of the whole map (its ``--add_image_level_feature=False``).

    Raises:
        ValueError: an unknown form, rates for the form without atrous branches, or the backbone does
            not give ``feature``.
    """

    def __init__(
        self,
        feature_info: Mapping[str, FeatureInfo],
        num_classes: int,
        channels: int = 256,
        form: Form = "raspp",
        rates: Sequence[int] | None = None,
        feature: str = "c5",
        dropout: float | None = None,
        separable_atrous: bool = False,
        image_pooling: bool = True,
    ) -> None:
        super().__init__()
        self.feature = feature
        in_channels, stride = find_feature(feature_info, feature)
        self.rates, self.is_separable = atrous_rates(form, stride, rates), separable_atrous
        self.point = _conv(in_channels, channels)
        atrous = _separable if separable_atrous else partial(_conv, kernel_size=3)
        self.atrous = nn.ModuleList(atrous(in_channels, channels, dilation=rate) for rate in self.rates)
        self.pooled = _conv(in_channels, channels) if image_pooling else None
        self.project = _conv((1 + image_pooling + len(self.rates)) * channels, channels)
        if dropout is None:
            dropout = 0.5 if form == "torchvision" else 0.1
        self.dropout = nn.Dropout(dropout)
        self.refine = _conv(channels, channels, 3) if form == "torchvision" else nn.Identity()
        self.logits = nn.Conv2d(channels, num_classes, 1)
        initialize(self, "kaiming")
        initialize(self.logits, "normal", std=0.01)

    def forward(self, features: Features) -> Tensor:
        x = features[self.feature]
        branches = [self.point(x), *(atrous(x) for atrous in self.atrous)]
        if self.pooled is not None:
            # Enlarged rather than expanded: LiteRT's converter writes a broadcast that its runtime refuses.
            pooled = self.pooled(x.mean((2, 3), keepdim=True))
            branches.append(F.interpolate(pooled, x.shape[-2:], mode="bilinear", align_corners=False))
        mixed = self.dropout(self.project(torch.cat(branches, dim=1)))
        logits: Tensor = self.logits(self.refine(mixed))
        return logits

    def class_layers(self) -> list[str]:
        """Names of the layers with rows for classes."""
        return ["logits"]

    def published_names(self, library: Library) -> dict[str, str]:
        """Our modules -> those of ``classifier`` in torchvision's ``deeplabv3_mobilenet_v3_large``.

        Raises:
            ValueError: timm has no DeepLabv3, torchvision only ``form="torchvision"``.
        """
        is_plain = self.pooled is not None and not self.is_separable
        if library != "torchvision" or isinstance(self.refine, nn.Identity) or not is_plain:
            raise ValueError(f"{library} has no such head: torchvision has form='torchvision'.")
        names = {"point.conv": "0.convs.0.0", "point.norm": "0.convs.0.1"}
        for i in range(len(self.rates)):
            names |= {f"atrous.{i}.conv": f"0.convs.{i + 1}.0", f"atrous.{i}.norm": f"0.convs.{i + 1}.1"}
        last = len(self.rates) + 1
        return names | {
            "pooled.conv": f"0.convs.{last}.1",
            "pooled.norm": f"0.convs.{last}.2",
            "project.conv": "0.project.0",
            "project.norm": "0.project.1",
            "refine.conv": "1",
            "refine.norm": "2",
            "logits": "4",
        }


def _separable(in_channels: int, channels: int, dilation: int) -> nn.Sequential:
    depthwise = _conv(in_channels, in_channels, 3, dilation=dilation, groups=in_channels)
    return nn.Sequential(depthwise, _conv(in_channels, channels))


def atrous_rates(form: Form, stride: int, rates: Sequence[int] | None) -> tuple[int, ...]:
    """Dilations of the atrous branches of a form on a map of ``stride``; ``rates`` win where they are given.

    Raises:
        ValueError: an unknown form, or rates for the form without atrous branches.
    """
    if form not in ("raspp", "aspp", "torchvision"):
        raise ValueError(f"form is {form!r}: choose 'raspp', 'aspp' or 'torchvision'.")
    if form == "raspp":
        if rates:
            raise ValueError(f"form 'raspp' has no atrous branches for rates {tuple(rates)}: choose 'aspp'.")
        return ()
    if rates is not None:
        return tuple(rates)
    return TORCHVISION_RATES if form == "torchvision" else tuple(r * 16 // stride for r in RATES_AT_STRIDE_16)


class FCNHead(nn.Module):
    """Features -> logits (N, num_classes, h, w) at the resolution of ``feature``.

    A 3x3 convolution to a quarter of the channels, dropout and a 1x1 convolution: torchvision's
    ``FCNHead``, the auxiliary head that its published segmentation weights carry. torchvision's model
    reads it after the *first* block of stride 8.

    Raises:
        ValueError: the backbone does not give ``feature``.
    """

    def __init__(
        self,
        feature_info: Mapping[str, FeatureInfo],
        num_classes: int,
        feature: str = "c3_first",
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.feature = feature
        in_channels = find_feature(feature_info, feature).channels
        self.reduce = _conv(in_channels, in_channels // 4, 3)
        self.dropout = nn.Dropout(dropout)
        self.logits = nn.Conv2d(in_channels // 4, num_classes, 1)
        initialize(self.reduce, "kaiming")
        initialize(self.logits, "normal", std=0.01)

    def forward(self, features: Features) -> Tensor:
        logits: Tensor = self.logits(self.dropout(self.reduce(features[self.feature])))
        return logits

    def class_layers(self) -> list[str]:
        """Names of the layers with rows for classes."""
        return ["logits"]

    def published_names(self, library: Library) -> dict[str, str]:
        """Our modules -> those of ``aux_classifier`` in torchvision's segmentation models.

        Raises:
            ValueError: timm has no such head.
        """
        if library != "torchvision":
            raise ValueError(f"{library} has no FCN head: choose 'torchvision'.")
        return {"reduce.conv": "0", "reduce.norm": "1", "logits": "4"}
