"""MobileNetV3-Large and -Small (arXiv:1905.02244, tables 1 and 2)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from pocketvision.backbones.inverted_residual import ActivationName, BlockSpec, InvertedResidualBackbone
from pocketvision.backbones.pretrained import load_pretrained
from pocketvision.core.layers import make_divisible

ReducedTail = Literal["detection", "segmentation"]
WidthRule = Literal["paper", "torchvision"]


class Row(NamedTuple):
    """kernel, expanded size, channels out, squeeze-and-excitation, non-linearity, stride."""

    kernel_size: int
    expanded: int
    out: int
    squeeze: bool
    activation: ActivationName
    stride: int


# Table 1.
LARGE = (
    Row(3,  16,  16, False, "relu",      1),
    Row(3,  64,  24, False, "relu",      2),
    Row(3,  72,  24, False, "relu",      1),
    Row(5,  72,  40, True,  "relu",      2),
    Row(5, 120,  40, True,  "relu",      1),
    Row(5, 120,  40, True,  "relu",      1),
    Row(3, 240,  80, False, "hardswish", 2),
    Row(3, 200,  80, False, "hardswish", 1),
    Row(3, 184,  80, False, "hardswish", 1),
    Row(3, 184,  80, False, "hardswish", 1),
    Row(3, 480, 112, True,  "hardswish", 1),
    Row(3, 672, 112, True,  "hardswish", 1),
    Row(5, 672, 160, True,  "hardswish", 2),
    Row(5, 960, 160, True,  "hardswish", 1),
    Row(5, 960, 160, True,  "hardswish", 1),
)  # fmt: skip
# Table 2.
SMALL = (
    Row(3,  16,  16, True,  "relu",      2),
    Row(3,  72,  24, False, "relu",      2),
    Row(3,  88,  24, False, "relu",      1),
    Row(5,  96,  40, True,  "hardswish", 2),
    Row(5, 240,  40, True,  "hardswish", 1),
    Row(5, 240,  40, True,  "hardswish", 1),
    Row(5, 120,  48, True,  "hardswish", 1),
    Row(5, 144,  48, True,  "hardswish", 1),
    Row(5, 288,  96, True,  "hardswish", 2),
    Row(5, 576,  96, True,  "hardswish", 1),
    Row(5, 576,  96, True,  "hardswish", 1),
)  # fmt: skip
STEM = 16
NUM_C5_ROWS = 3
LAST_EXPANSION = 6

LARGE_IMAGENET_URL = "https://download.pytorch.org/models/mobilenet_v3_large-5c1a4163.pth"
SMALL_IMAGENET_URL = "https://download.pytorch.org/models/mobilenet_v3_small-047dcff4.pth"


def mobilenet_v3_large(
    *,
    width_mult: float = 1.0,
    output_stride: int = 32,
    reduced_tail: ReducedTail | None = None,
    width_rule: WidthRule = "paper",
    out_features: Sequence[str] = ("c2", "c3", "c4", "c5"),
    weights: str | Path | None = None,
    norm_eps: float = 1e-3,
    norm_momentum: float = 0.01,
) -> InvertedResidualBackbone:
    """MobileNetV3-Large without its classifier.

    ``reduced_tail`` halves the channels between c4 and c5: ``"detection"`` keeps the first
    expansion of c5 (SSDLite taps it as ``c4_expand``), ``"segmentation"`` halves it too.
    ``width_rule``: ``"paper"`` derives expansions from the scaled input, as all published 0.75
    weights need; ``"torchvision"`` scales each one by itself. ``weights`` is ``"imagenet"``
    (torchvision's published file, downloaded once) or a local file of the same layout.

    Raises:
        ValueError: an unknown feature name or output stride.
        InputError: ``weights`` does not fit or can't be had.
    """
    return _mobilenet_v3(
        LARGE, LARGE_IMAGENET_URL, width_mult, output_stride, reduced_tail, width_rule, out_features, weights,
        norm_eps, norm_momentum,
    )  # fmt: skip


def mobilenet_v3_small(
    *,
    width_mult: float = 1.0,
    output_stride: int = 32,
    reduced_tail: ReducedTail | None = None,
    width_rule: WidthRule = "paper",
    out_features: Sequence[str] = ("c2", "c3", "c4", "c5"),
    weights: str | Path | None = None,
    norm_eps: float = 1e-3,
    norm_momentum: float = 0.01,
) -> InvertedResidualBackbone:
    """MobileNetV3-Small without its classifier; arguments and errors as :func:`mobilenet_v3_large`."""
    return _mobilenet_v3(
        SMALL, SMALL_IMAGENET_URL, width_mult, output_stride, reduced_tail, width_rule, out_features, weights,
        norm_eps, norm_momentum,
    )  # fmt: skip


def _mobilenet_v3(
    rows: Sequence[Row],
    url: str,
    width_mult: float,
    output_stride: int,
    reduced_tail: ReducedTail | None,
    width_rule: WidthRule,
    out_features: Sequence[str],
    weights: str | Path | None,
    norm_eps: float,
    norm_momentum: float,
) -> InvertedResidualBackbone:
    stem = make_divisible(STEM * width_mult)
    blocks = scale_rows(reduce_tail(rows, reduced_tail), stem, width_mult, width_rule)
    backbone = InvertedResidualBackbone(
        stem_channels=stem,
        blocks=blocks,
        last_channels=make_divisible(LAST_EXPANSION * blocks[-1].out),
        activation="hardswish",
        out_features=out_features,
        output_stride=output_stride,
        norm_eps=norm_eps,
        norm_momentum=norm_momentum,
    )
    if weights is not None:
        load_pretrained(backbone, weights, url, version=3)
    return backbone


def reduce_tail(rows: Sequence[Row], reduced_tail: ReducedTail | None) -> list[Row]:
    """Halve the channels of the blocks of c5 (arXiv:1905.02244, sec. 6.3 and 6.4)."""
    if reduced_tail is None:
        return list(rows)
    if reduced_tail not in ("detection", "segmentation"):
        raise ValueError(f"reduced_tail is {reduced_tail!r}: choose 'detection', 'segmentation' or None.")
    body, (first, *others) = list(rows[:-NUM_C5_ROWS]), rows[-NUM_C5_ROWS:]
    expanded = first.expanded // (2 if reduced_tail == "segmentation" else 1)
    halved = [row._replace(expanded=row.expanded // 2, out=row.out // 2) for row in others]
    return [*body, first._replace(expanded=expanded, out=first.out // 2), *halved]


def scale_rows(rows: Sequence[Row], stem: int, width_mult: float, width_rule: WidthRule) -> list[BlockSpec]:
    """Apply the width multiplier to a table."""
    blocks = []
    table_in, scaled_in = STEM, stem
    for row in rows:
        out = make_divisible(row.out * width_mult)
        ratio = row.expanded / table_in
        expanded = make_divisible(scaled_in * ratio if width_rule == "paper" else row.expanded * width_mult)
        blocks.append(BlockSpec(row.kernel_size, expanded, out, row.squeeze, row.activation, row.stride))
        table_in, scaled_in = row.out, out
    return blocks
