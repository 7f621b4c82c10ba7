"""MobileNetV2 (arXiv:1801.04381, table 2)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pocketvision.backbones.architecture import Architecture, DilationRule
from pocketvision.backbones.blocks import BlockSpec, InvertedResidual
from pocketvision.backbones.forms import Forms, with_forms
from pocketvision.backbones.mobilenet import MobileNet
from pocketvision.backbones.pretrained import load_pretrained
from pocketvision.backbones.widths import Widths, with_widths
from pocketvision.core.layers import Padding, make_divisible

# Table 2: expansion t, channels c, repeats n, stride s of the first.
ROWS = (
    (1,  16, 1, 1),
    (6,  24, 2, 2),
    (6,  32, 3, 2),
    (6,  64, 4, 2),
    (6,  96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)  # fmt: skip
STEM, LAST, FIRST_C5_ROW = 32, 1280, 5

IMAGENET_URL = "https://download.pytorch.org/models/mobilenet_v2-b0353104.pth"


def mobilenet_v2(
    *,
    width_mult: float = 1.0,
    output_stride: int = 32,
    reduced_tail: bool = False,
    scale_last: bool = False,
    out_features: Sequence[str] = ("c2", "c3", "c4", "c5"),
    weights: str | Path | None = None,
    in_channels: int = 3,
    padding: Padding = "torch",
    dilation_rule: DilationRule = "tensorflow",
    norm_eps: float = 1e-5,
    norm_momentum: float = 0.1,
    widths: Widths | None = None,
    forms: Forms | None = None,
) -> MobileNet:
    """MobileNetV2 without its classifier.

    ``width_mult`` scales every layer but the last 1x1 convolution, which stays at 1280 below 1.0 as in
    all published classifiers; ``scale_last`` scales it there too, as TensorFlow's detection models do.
    ``reduced_tail`` halves all layers between c4 and c5, as the V3 paper does for segmentation
    (arXiv:1905.02244, table 7, "RF2"). Instead, ``widths`` states (expanded, out) and ``forms`` (kernel size,
    squeeze-and-excitation, activation) of every block, as ``adapt`` and ``search`` find them. ``weights`` is
    ``"imagenet"`` (torchvision's published file, downloaded once) or a local file with torchvision's, timm's
    or our names. ``norm_eps`` and ``norm_momentum`` are torchvision's and timm's; TensorFlow has 1e-3 and
    0.003. The other arguments are those of :class:`MobileNet`.

    Raises:
        ValueError: an unknown feature name, output stride, dilation rule, padding, widths or forms.
        InputError: ``weights`` does not fit or can't be loaded.
    """
    backbone = MobileNet(
        with_forms(with_widths(scaled_v2(width_mult, reduced_tail, scale_last), widths), forms),
        out_features=out_features, output_stride=output_stride, in_channels=in_channels, padding=padding,
        dilation_rule=dilation_rule, norm_eps=norm_eps, norm_momentum=norm_momentum,
    )  # fmt: skip
    if weights is not None:
        load_pretrained(backbone, weights)
    return backbone


def scaled_v2(width_mult: float, reduced_tail: bool, scale_last: bool) -> Architecture:
    """The paper's table at a width, with its variants."""
    channels = stem = make_divisible(STEM * width_mult)
    blocks: list[BlockSpec] = []
    for row, (expansion, out, repeats, stride) in enumerate(ROWS):
        in_tail = reduced_tail and row >= FIRST_C5_ROW
        scaled = make_divisible((out // 2 if in_tail else out) * width_mult)
        for repeat in range(repeats):
            expanded = channels * expansion
            blocks.append(BlockSpec(3, expanded, scaled, False, "relu6", stride if repeat == 0 else 1))
            channels = scaled
    last = make_divisible(LAST * (width_mult if scale_last else max(1.0, width_mult)))
    stages = [row[2] for row in ROWS]
    return Architecture(2, InvertedResidual, stem, blocks, stages, last, "relu6", IMAGENET_URL)
