"""MobileNetEdgeTPU, which trades depthwise convolutions for whole ones where a map is large.

The table is ``V3_EDGETPU`` of TensorFlow's ``slim/nets/mobilenet/mobilenet_v3.py``; there is no paper.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pocketvision.backbones.architecture import Architecture, DilationRule
from pocketvision.backbones.blocks import BlockSpec, InvertedResidual
from pocketvision.backbones.mobilenet import MobileNet
from pocketvision.backbones.pretrained import load_pretrained
from pocketvision.core.layers import Padding, make_divisible

# Kernel, expansion of the first and of the others, channels, repeats, stride of the first, whether the
# kernel is in the expansion, whether the first has a residual where it can.
ROWS = (
    (1, 1, 1,  16, 1, 1, True,  True),
    (3, 8, 4,  32, 4, 2, True,  True),
    (3, 8, 4,  48, 4, 2, True,  True),
    (3, 8, 4,  96, 4, 2, False, True),
    (3, 8, 4,  96, 4, 1, False, False),
    (5, 8, 4, 160, 4, 2, False, True),
    (3, 8, 4, 192, 1, 1, False, True),
)  # fmt: skip
STEM, LAST = 32, 1280


def mobilenet_edgetpu(
    *,
    width_mult: float = 1.0,
    output_stride: int = 32,
    out_features: Sequence[str] = ("c2", "c3", "c4", "c5"),
    weights: str | Path | None = None,
    in_channels: int = 3,
    padding: Padding = "torch",
    dilation_rule: DilationRule = "tensorflow",
    norm_eps: float = 1e-3,
    norm_momentum: float = 0.003,
) -> MobileNet:
    """MobileNetEdgeTPU without its classifier: ReLU throughout, no squeeze-and-excitation.

    ``width_mult`` scales every layer but the last 1x1 convolution, which stays at 1280 below 1.0 as in the
    published 0.75. ``weights`` is a local file with our names: ``import-weights`` makes one of slim's.
    ``norm_eps`` and ``norm_momentum`` are slim's. The other arguments are those of :class:`MobileNet`.

    Raises:
        ValueError: an unknown feature name, output stride, dilation rule or padding.
        InputError: ``weights`` does not fit or can't be loaded.
    """
    backbone = MobileNet(
        scaled_edgetpu(width_mult), out_features=out_features, output_stride=output_stride,
        in_channels=in_channels, padding=padding, dilation_rule=dilation_rule,
        norm_eps=norm_eps, norm_momentum=norm_momentum,
    )  # fmt: skip
    if weights is not None:
        load_pretrained(backbone, weights)
    return backbone


def scaled_edgetpu(width_mult: float) -> Architecture:
    """slim's table at a width."""
    channels = stem = make_divisible(STEM * width_mult)
    blocks: list[BlockSpec] = []
    for kernel, first, others, out, repeats, stride, fused, residual in ROWS:
        scaled = make_divisible(out * width_mult)
        for repeat in range(repeats):
            is_first = repeat == 0
            expanded = make_divisible(channels * (first if is_first else others))
            row = BlockSpec(kernel, expanded, scaled, False, "relu", stride if is_first else 1)
            blocks.append(row._replace(fused=fused, residual=residual or not is_first))
            channels = scaled
    last = make_divisible(LAST * max(1.0, width_mult))
    stages = [row[4] for row in ROWS]
    return Architecture("edgetpu", InvertedResidual, stem, blocks, stages, last, "relu")
