"""A dense head: class scores, and distances to the sides of a box as distributions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from pocketvision.core.layers import ConvNormAct, initialize, residual_separables
from pocketvision.core.structures import FeatureInfo, Features
from pocketvision.heads.ssd import apply_blocks

_FIRST_SCORE = 0.01
"""Of every class before training (arXiv:1708.02002, sec. 3.3)."""
_MAX_LOG_DISTANCE = 4.0


class GFLHead(nn.Module):
    """Features -> class_logits (N, A, num_outputs), box_deltas (N, A, 4); while training, distributions too.

    The deltas are those of :class:`~pocketvision.core.distances.DistanceBoxCoder`: how far each side is, in
    halves of the anchor. Each is the mean of a distribution over ``reg_max`` + 1 values, evenly spaced from 0
    to 2 (Generalized Focal Loss, arXiv:2006.04388, eq. 4), so that a head that knows nothing predicts the
    anchor itself. The loss needs its logits (N, A, 4, ``reg_max`` + 1), a third output in training. The
    paper's whole strides are those values for anchors ``reg_max`` strides wide. With ``reg_max=0`` there are
    no distributions: a distance is the exponential of a number.

    ``depth`` separable blocks with ``kernel_size`` see each map, shared by classes and boxes, as in
    NanoDet-Plus, but each is added to what it sees; then a 1x1 convolution with bias predicts each of them.
    Anchors run in order map, row, column, anchor. ``num_outputs`` counts class logits an anchor.

    Raises:
        ValueError: there are not as many numbers of anchors as maps.
    """

    values: Tensor

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
        sizes = [(info.channels, n) for info, n in zip(feature_info.values(), num_anchors, strict=True)]
        self.shared_blocks = nn.ModuleList(residual_separables(conv, c, kernel_size, depth) for c, _ in sizes)
        self.class_blocks = nn.ModuleList(nn.Conv2d(c, n * num_outputs, 1) for c, n in sizes)
        self.box_blocks = nn.ModuleList(nn.Conv2d(c, n * 4 * (reg_max + 1), 1) for c, n in sizes)
        values = torch.linspace(0, 2, reg_max + 1)
        self.register_buffer("values", values, persistent=False)
        self._initialize()

    def _initialize(self) -> None:
        initialize(self.shared_blocks, "kaiming")
        for layer in (*self.class_blocks, *self.box_blocks):
            assert isinstance(layer, nn.Conv2d) and layer.bias is not None
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)
        for layer in self.class_blocks:
            nn.init.constant_(layer.bias, -math.log((1 - _FIRST_SCORE) / _FIRST_SCORE))  # type: ignore[arg-type]

    def forward(self, features: Features) -> tuple[Tensor, ...]:
        maps = [block(x) for block, x in zip(self.shared_blocks, features.values(), strict=True)]
        class_logits = apply_blocks(self.class_blocks, maps, self.num_outputs)
        predicted = apply_blocks(self.box_blocks, maps, 4 * (self.reg_max + 1))
        if self.reg_max == 0:
            return class_logits, predicted.clamp(max=_MAX_LOG_DISTANCE).exp()
        sides = predicted.reshape(*predicted.shape[:2], 4, self.reg_max + 1)
        distances = (sides.softmax(dim=-1) * self.values).sum(dim=-1)
        return (class_logits, distances, sides) if self.training else (class_logits, distances)

    @property
    def delta_range(self) -> tuple[float, float]:
        """Least and largest delta: boxes reach twice as far as anchors where distances are distributions."""
        return (0.0, math.exp(_MAX_LOG_DISTANCE)) if self.reg_max == 0 else (0.0, 2.0)

    def class_layers(self) -> list[str]:
        """Names of the layers with rows for classes."""
        return [f"class_blocks.{i}" for i in range(len(self.class_blocks))]
