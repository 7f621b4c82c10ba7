"""A pyramid is a backbone: a path aggregation network of separable blocks over any backbone's features."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from pocketvision.core.layers import ConvNormAct, initialize, residual_separables, zero_separable
from pocketvision.core.protocols import Backbone
from pocketvision.core.structures import FeatureInfo, Features


class WithPAN(nn.Module):
    """A backbone whose features exchange what they see: ``p3``, ``p4``... by stride, all ``channels`` wide.

    A path aggregation network (arXiv:1803.01534, sec. 3.1) as light detectors build it (PicoDet,
    arXiv:2111.00902, sec. 2.2): each feature is brought to ``channels`` by a 1x1 convolution; going up
    in resolution, then down again, each level adds what its neighbor knows and what ``depth`` separable
    blocks make of the sum. ``num_extra`` coarser levels follow, each half as large.

    Unlike there, blocks are added to what they read and are 0 at first, so that a new pyramid passes on
    what a trained backbone knows; ReLU follows. docs/results.md has what both earn.

    Features must halve in size from one to the next.

    Raises:
        ValueError: two features have the same stride, or a level is left out.
    """

    def __init__(
        self,
        backbone: Backbone,
        channels: int = 96,
        kernel_size: int = 5,
        depth: int = 1,
        num_extra: int = 1,
        norm_eps: float = 1e-3,
        norm_momentum: float = 0.03,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        _check_strides(backbone.feature_info)
        levels = list(backbone.feature_info.values())
        conv = partial(
            ConvNormAct,
            activation=partial(nn.ReLU6, inplace=True),
            norm_eps=norm_eps,
            norm_momentum=norm_momentum,
        )
        common = (conv, channels, kernel_size)
        self.lateral = nn.ModuleList(conv(level.channels, channels) for level in levels)
        self.top_down = nn.ModuleList(residual_separables(*common, depth) for _ in levels[1:])
        self.down = nn.ModuleList(zero_separable(*common, stride=2) for _ in levels[1:])
        self.bottom_up = nn.ModuleList(residual_separables(*common, depth) for _ in levels[1:])
        self.extra = nn.ModuleList(_separable(*common) for _ in range(num_extra))
        strides = [level.stride for level in levels]
        strides += [strides[-1] * 2 ** (i + 1) for i in range(num_extra)]
        self.feature_info = {
            f"p{stride.bit_length() - 1}": FeatureInfo(channels, stride) for stride in strides
        }
        for part in (self.lateral, self.top_down, self.down, self.bottom_up, self.extra):
            initialize(part, "kaiming")

    def forward(self, images: Tensor) -> Features:
        maps = [conv(x) for conv, x in zip(self.lateral, self.backbone(images).values(), strict=True)]
        for level in reversed(range(len(maps) - 1)):
            finer = maps[level]
            maps[level] = self.top_down[level](finer + _enlarged(maps[level + 1], finer))
        for level, (down, mix) in enumerate(zip(self.down, self.bottom_up, strict=True), start=1):
            maps[level] = mix(maps[level] + down(maps[level - 1]))
        for extra in self.extra:
            maps.append(extra(maps[-1]))
        return dict(zip(self.feature_info, maps, strict=True))


def _enlarged(coarse: Tensor, finer: Tensor) -> Tensor:
    """``coarse`` at the size of ``finer``, which is twice its own, or one less.

    Cut from twice the size: the same pixels as ``size=`` takes, but a whole ratio, which every runtime
    understands alike. LiteRT's converter makes other pixels of 8 rows enlarged to 15.
    """
    enlarged = F.interpolate(coarse, scale_factor=2.0, mode="nearest")
    rows, columns = finer.shape[-2:]
    if enlarged.shape[-2] != rows:  # ncnn's converter knows no cut that takes all
        enlarged = enlarged[:, :, :rows]
    if enlarged.shape[-1] != columns:
        enlarged = enlarged[..., :columns]
    return enlarged


def _separable(conv: Callable[..., ConvNormAct], channels: int, kernel_size: int) -> nn.Sequential:
    """Depthwise, then 1x1, each with BatchNorm and activation; a map half as large."""
    depthwise = conv(channels, channels, kernel_size, stride=2, groups=channels)
    return nn.Sequential(depthwise, conv(channels, channels))


def _check_strides(feature_info: Mapping[str, FeatureInfo]) -> None:
    strides = {name: info.stride for name, info in feature_info.items()}
    values = list(strides.values())
    if any(coarse != 2 * fine for fine, coarse in pairwise(values)):
        raise ValueError(f"each feature must have twice the stride of the one before it, not {strides}.")
