"""LR-ASPP, MobileNetV3's segmentation head (arXiv:1905.02244, sec. 6.4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn

from pocketvision.core.layers import ConvNormAct, initialize
from pocketvision.core.structures import FeatureInfo, Features

_conv = partial(ConvNormAct, activation=partial(nn.ReLU, inplace=True))


class PooledGate(nn.Module):
    """(N, C, h, w) -> (N, channels, h, w): a 1x1 convolution gated by what lies around.

    The gate is the sigmoid of a 1x1 convolution (with bias, no BatchNorm) of averages over
    ``pool_size`` windows taken every ``pool_stride`` cells, as in TensorFlow's DeepLab. A map
    smaller than the window is averaged as a whole.
    """

    def __init__(
        self, in_channels: int, channels: int, pool_size: int = 49, pool_stride: tuple[int, int] = (16, 20)
    ) -> None:
        super().__init__()
        self.pool_size, self.pool_stride = pool_size, pool_stride
        self.reduce = _conv(in_channels, channels)
        self.gate = nn.Conv2d(in_channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        window = (min(self.pool_size, height), min(self.pool_size, width))
        gate = self.gate(F.avg_pool2d(x, window, self.pool_stride)).sigmoid()
        gate = F.interpolate(gate, (height, width), mode="bilinear", align_corners=True)
        gated: Tensor = self.reduce(x) * gate
        return gated


class LRASPPHead(nn.Module):
    """Features -> logits (N, num_classes, h, w) at the resolution of the finest ``low`` feature.

    The paper's form, as TensorFlow's DeepLab builds it: the logits of the gated ``high`` feature and
    of the ``low`` feature (the depthwise tensor at stride 8) are summed. Further, finer ``low``
    features add their logits in the same way; the paper has one.
    """

    def __init__(
        self,
        feature_info: Mapping[str, FeatureInfo],
        num_classes: int,
        channels: int = 128,
        low: Sequence[str] = ("c3_depthwise",),
        high: str = "last",
        pool_size: int = 49,
        pool_stride: tuple[int, int] = (16, 20),
    ) -> None:
        super().__init__()
        self.low, self.high = tuple(low), high
        self.gated = PooledGate(feature_info[high].channels, channels, pool_size, pool_stride)
        self.high_logits = nn.Conv2d(channels, num_classes, 1)
        self.low_logits = nn.ModuleList(
            nn.Conv2d(feature_info[name].channels, num_classes, 1) for name in self.low
        )
        initialize(self.gated, "kaiming")
        initialize(self.high_logits, "normal", std=0.01)
        initialize(self.low_logits, "normal", std=0.01)

    def forward(self, features: Features) -> Tensor:
        logits: Tensor = self.high_logits(self.gated(features[self.high]))
        for name, low_logits in zip(self.low, self.low_logits, strict=True):
            low = features[name]
            logits = F.interpolate(logits, low.shape[-2:], mode="bilinear", align_corners=False)
            logits = logits + low_logits(low)
        return logits
