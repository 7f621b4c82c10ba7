"""A dense head without anchor shapes: class scores, and distances to the sides of a box as distributions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from pocketvision.core.layers import ConvNormAct, initialize
from pocketvision.core.structures import FeatureInfo, Features

_PRIOR = 0.01
"""Score of every class before training (arXiv:1708.02002, sec. 3.3)."""


class GFLHead(nn.Module):
    """Features -> class_logits (N, A, num_outputs), box_deltas (N, A, 4); while training, distributions too.

    The deltas are distances from a point to the left, top, right and bottom side of its box, in units of
    the size of its anchor. Each is the mean of a distribution over ``reg_max`` + 1 whole units
    (Generalized Focal Loss, arXiv:2006.04388, eq. 4); the loss needs its logits (N, A, 4, ``reg_max`` + 1),
    which are a third output in training. With ``reg_max=0`` there are no distributions: a distance is the
    exponential of a number.

    ``depth`` separable blocks with ``kernel_size`` see each map, shared by classes and boxes, as in
    NanoDet-Plus; a 1x1 convolution with bias predicts both.
    """

    def __init__(
        self,
        feature_info: Mapping[str, FeatureInfo],
        num_anchors: Sequence[int],
        num_outputs: int,
        reg_max: int = 7,
        kernel_size: int = 5,
        depth: int = 2,
        norm_eps: float = 1e-3,
        norm_momentum: float = 0.03,
    ) -> None:
        super().__init__()
        self.num_outputs, self.reg_max = num_outputs, reg_max
        conv = partial(
            ConvNormAct,
            activation=partial(nn.ReLU6, inplace=True),
            norm_eps=norm_eps,
            norm_momentum=norm_momentum,
        )
        width = num_outputs + 4 * (reg_max + 1)
        self.blocks = nn.ModuleList()
        for info, count in zip(feature_info.values(), num_anchors, strict=True):
            layers: list[nn.Module] = []
            for _ in range(depth):
                c = info.channels
                layers += [conv(c, c, kernel_size, groups=c), conv(c, c)]
            self.blocks.append(nn.Sequential(*layers, nn.Conv2d(info.channels, count * width, 1)))
        initialize(self, "kaiming")
        self.register_buffer("units", torch.arange(reg_max + 1, dtype=torch.float32), persistent=False)
        for block, count in zip(self.blocks, num_anchors, strict=True):
            last = block[-1]
            nn.init.normal_(last.weight, std=0.01)
            with torch.no_grad():
                bias = last.bias.view(count, width)
                bias[:, :num_outputs] = -math.log((1 - _PRIOR) / _PRIOR)
                if reg_max == 0:
                    bias[:, num_outputs:] = 0.0

    def forward(self, features: Features) -> tuple[Tensor, ...]:
        width = self.num_outputs + 4 * (self.reg_max + 1)
        predicted = torch.cat(
            [
                block(x).permute(0, 2, 3, 1).reshape(x.shape[0], -1, width)
                for block, x in zip(self.blocks, features.values(), strict=True)
            ],
            dim=1,
        )
        class_logits = predicted[..., : self.num_outputs]
        sides = predicted[..., self.num_outputs :].unflatten(-1, (4, self.reg_max + 1))
        if self.reg_max == 0:
            return class_logits, sides.squeeze(-1).clamp(max=6.0).exp()
        distances = (sides.softmax(dim=-1) * self.units).sum(dim=-1)
        return (class_logits, distances, sides) if self.training else (class_logits, distances)
