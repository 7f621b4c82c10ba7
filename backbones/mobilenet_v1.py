"""MobileNetV1 (arXiv:1704.04861, table 1)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pocketvision.backbones.architecture import Architecture, DilationRule
from pocketvision.backbones.blocks import BlockSpec, SeparableBlock
from pocketvision.backbones.mobilenet import MobileNet
from pocketvision.backbones.pretrained import load_pretrained
from pocketvision.core.layers import Padding

# Table 1: channels c, repeats n, stride s of the first. The table prints "s2" for the very last
# depthwise layer too, but 7x7 maps before and after it: its stride is 1, as in all published weights.
ROWS = (
    (  64, 1, 1),
    ( 128, 2, 2),
    ( 256, 2, 2),
    ( 512, 6, 2),
    (1024, 2, 2),
)  # fmt: skip
STEM, MIN_CHANNELS = 32, 8


def mobilenet_v1(
    *,
    width_mult: float = 1.0,
    output_stride: int = 32,
    out_features: Sequence[str] = ("c2", "c3", "c4", "c5"),
    weights: str | Path | None = None,
    in_channels: int = 3,
    padding: Padding = "torch",
    dilation_rule: DilationRule = "tensorflow",
    norm_eps: float = 1e-3,
    norm_momentum: float = 0.01,
) -> MobileNet:
    """MobileNetV1 without its classifier, which reads ``c5``.

    ``width_mult`` scales every layer to ``max(int(channels * width_mult), 8)``, slim's rule for V1;
    the activation is ReLU6, as in slim, Keras and timm (the paper says ReLU). ``norm_eps`` is
    TensorFlow's and ``norm_momentum`` Keras'; slim's decay of 0.9997 (0.0003 here) is for millions of
    steps. ``weights`` is a local file with timm's (``mobilenetv1_100``; trained with
    ``norm_eps=1e-5``) or our names. The other arguments are those of :class:`MobileNet`.

    Raises:
        ValueError: an unknown feature name, output stride, dilation rule or padding.
        InputError: ``weights`` does not fit or can't be loaded.
    """
    backbone = MobileNet(
        scaled_v1(width_mult),
        out_features=out_features,
        output_stride=output_stride,
        in_channels=in_channels,
        padding=padding,
        dilation_rule=dilation_rule,
        norm_eps=norm_eps,
        norm_momentum=norm_momentum,
    )
    if weights is not None:
        load_pretrained(backbone, weights)
    return backbone


def scaled_v1(width_mult: float) -> Architecture:
    """The paper's table at a width."""
    channels = stem = _num_channels(STEM, width_mult)
    blocks: list[BlockSpec] = []
    for out, repeats, stride in ROWS:
        scaled = _num_channels(out, width_mult)
        for repeat in range(repeats):
            blocks.append(BlockSpec(3, channels, scaled, False, "relu6", stride if repeat == 0 else 1))
            channels = scaled
    return Architecture(1, SeparableBlock, stem, blocks, [row[1] for row in ROWS], None, "relu6")


def _num_channels(channels: int, width_mult: float) -> int:
    return max(int(channels * width_mult), MIN_CHANNELS)
