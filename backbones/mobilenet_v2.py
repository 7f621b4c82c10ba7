"""MobileNetV2 (arXiv:1801.04381, table 2)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pocketvision.backbones.inverted_residual import BlockSpec, InvertedResidualBackbone
from pocketvision.backbones.pretrained import load_pretrained
from pocketvision.core.layers import make_divisible

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
    out_features: Sequence[str] = ("c2", "c3", "c4", "c5"),
    weights: str | Path | None = None,
    norm_eps: float = 1e-5,
    norm_momentum: float = 0.1,
) -> InvertedResidualBackbone:
    """MobileNetV2 without its classifier.

    ``width_mult`` scales every layer but the last 1x1 convolution, which stays at 1280 below 1.0.
    ``reduced_tail`` halves all layers between c4 and c5, as the V3 paper does for segmentation
    (arXiv:1905.02244, table 7, "RF2"). ``weights`` is ``"imagenet"`` (torchvision's published file,
    downloaded once) or a local file of the same layout.

    Raises:
        ValueError: an unknown feature name or output stride.
        InputError: ``weights`` does not fit or can't be had.
    """
    stem = make_divisible(STEM * width_mult)
    blocks: list[BlockSpec] = []
    channels = stem
    for row, (expansion, out, repeats, stride) in enumerate(ROWS):
        in_tail = reduced_tail and row >= FIRST_C5_ROW
        out = make_divisible((out // 2 if in_tail else out) * width_mult)
        for repeat in range(repeats):
            blocks.append(
                BlockSpec(3, channels * expansion, out, False, "relu6", stride if repeat == 0 else 1)
            )
            channels = out
    backbone = InvertedResidualBackbone(
        stem_channels=stem,
        blocks=blocks,
        last_channels=make_divisible(LAST * max(1.0, width_mult)),
        activation="relu6",
        out_features=out_features,
        output_stride=output_stride,
        norm_eps=norm_eps,
        norm_momentum=norm_momentum,
    )
    if weights is not None:
        load_pretrained(backbone, weights, IMAGENET_URL, version=2)
    return backbone
