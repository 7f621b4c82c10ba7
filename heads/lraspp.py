"""LR-ASPP, MobileNetV3's segmentation head (arXiv:1905.02244, sec. 6.4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn

from pocketvision.core.layers import ConvNormAct, initialize
from pocketvision.core.structures import FeatureInfo, Features


class LRASPPHead(nn.Module):
    """Features -> logits (N, num_classes, h, w) at the resolution of the finest ``low`` feature.

    The paper's form, as TensorFlow's DeepLab builds it: a 1x1 convolution of the ``high`` feature is
    gated by a sigmoid of its average over ``pool_size`` windows taken every ``pool_stride`` cells
    (1x1 convolution with bias, no BatchNorm), and the logits of the gated tensor and of the ``low``
    feature (the depthwise tensor at stride 8) are summed. A map smaller than the window is averaged
    as a whole. Further, finer ``low`` features add their logits in the same way, which thin objects
    need; the paper has one.
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
        norm_eps: float = 1e-5,
        norm_momentum: float = 0.1,
    ) -> None:
        super().__init__()
        self.low, self.high = tuple(low), high
        self.pool_size, self.pool_stride = pool_size, pool_stride
        in_channels = feature_info[high].channels
        self.reduce = ConvNormAct(
            in_channels,
            channels,
            activation=partial(nn.ReLU, inplace=True),
            norm_eps=norm_eps,
            norm_momentum=norm_momentum,
        )
        self.gate = nn.Conv2d(in_channels, channels, 1)
        self.high_logits = nn.Conv2d(channels, num_classes, 1)
        self.low_logits = nn.ModuleList(
            nn.Conv2d(feature_info[name].channels, num_classes, 1) for name in self.low
        )
        initialize(self, "kaiming")
        initialize(self.high_logits, "normal", std=0.01)
        initialize(self.low_logits, "normal", std=0.01)

    def forward(self, features: Features) -> Tensor:
        high = features[self.high]
        height, width = high.shape[-2:]
        window = (min(self.pool_size, height), min(self.pool_size, width))
        gate = self.gate(F.avg_pool2d(high, window, self.pool_stride)).sigmoid()
        gate = F.interpolate(gate, (height, width), mode="bilinear", align_corners=True)
        logits: Tensor = self.high_logits(self.reduce(high) * gate)
        for name, low_logits in zip(self.low, self.low_logits, strict=True):
            low = features[name]
            logits = F.interpolate(logits, low.shape[-2:], mode="bilinear", align_corners=False)
            logits = logits + low_logits(low)
        return logits
