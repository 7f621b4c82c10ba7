"""A pyramid is a backbone: SSDLite's extra blocks continue one to coarser maps."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from torch import Tensor, nn

from pocketvision.core.layers import ConvNormAct, initialize
from pocketvision.core.protocols import Backbone
from pocketvision.core.structures import FeatureInfo, Features


class WithExtraBlocks(nn.Module):
    """A backbone whose coarsest feature goes on through blocks of stride 2, named ``extra1``, ``extra2``...

    A block is a 1x1 convolution to half of its channels, a 3x3 depthwise convolution with stride 2
    and a 1x1 convolution, each with BatchNorm and ReLU6, as in TensorFlow's and torchvision's
    SSDLite (mid widths 256, 128, 128, 64 for the default ``channels``).
    """

    def __init__(
        self,
        backbone: Backbone,
        channels: Sequence[int] = (512, 256, 256, 128),
        norm_eps: float = 1e-3,
        norm_momentum: float = 0.03,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.feature_info = dict(backbone.feature_info)
        self.extra_blocks = nn.ModuleList()
        in_channels, stride = list(self.feature_info.values())[-1]
        conv = partial(
            ConvNormAct,
            activation=partial(nn.ReLU6, inplace=True),
            norm_eps=norm_eps,
            norm_momentum=norm_momentum,
        )
        for number, out in enumerate(channels, start=1):
            mid = out // 2
            self.extra_blocks.append(
                nn.Sequential(
                    conv(in_channels, mid),
                    conv(mid, mid, 3, stride=2, groups=mid),
                    conv(mid, out),
                )
            )
            in_channels, stride = out, stride * 2
            self.feature_info[f"extra{number}"] = FeatureInfo(out, stride)
        initialize(self.extra_blocks, "normal")

    def forward(self, images: Tensor) -> Features:
        features = dict(self.backbone(images))
        x = next(reversed(features.values()))
        for number, block in enumerate(self.extra_blocks, start=1):
            x = features[f"extra{number}"] = block(x)
        return features
