"""MobileNetV3-Large and -Small (arXiv:1905.02244, tables 1 and 2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pocketvision.backbones.architecture import Architecture, DilationRule
from pocketvision.backbones.blocks import BlockSpec, InvertedResidual
from pocketvision.backbones.forms import Forms, with_forms
from pocketvision.backbones.mobilenet import MobileNet
from pocketvision.backbones.pretrained import load_pretrained
from pocketvision.backbones.widths import Widths, with_widths
from pocketvision.core.layers import Padding, make_divisible

ReducedTail = Literal["detection", "segmentation"]
WidthRule = Literal["paper", "torchvision"]
_Row = BlockSpec
"""kernel, expanded size, channels out, squeeze-and-excitation, non-linearity, stride; not yet scaled."""

# Table 1.
LARGE_ROWS = (
    _Row(3,  16,  16, False, "relu",      1),
    _Row(3,  64,  24, False, "relu",      2),
    _Row(3,  72,  24, False, "relu",      1),
    _Row(5,  72,  40, True,  "relu",      2),
    _Row(5, 120,  40, True,  "relu",      1),
    _Row(5, 120,  40, True,  "relu",      1),
    _Row(3, 240,  80, False, "hardswish", 2),
    _Row(3, 200,  80, False, "hardswish", 1),
    _Row(3, 184,  80, False, "hardswish", 1),
    _Row(3, 184,  80, False, "hardswish", 1),
    _Row(3, 480, 112, True,  "hardswish", 1),
    _Row(3, 672, 112, True,  "hardswish", 1),
    _Row(5, 672, 160, True,  "hardswish", 2),
    _Row(5, 960, 160, True,  "hardswish", 1),
    _Row(5, 960, 160, True,  "hardswish", 1),
)  # fmt: skip
# Table 2.
SMALL_ROWS = (
    _Row(3,  16,  16, True,  "relu",      2),
    _Row(3,  72,  24, False, "relu",      2),
    _Row(3,  88,  24, False, "relu",      1),
    _Row(5,  96,  40, True,  "hardswish", 2),
    _Row(5, 240,  40, True,  "hardswish", 1),
    _Row(5, 240,  40, True,  "hardswish", 1),
    _Row(5, 120,  48, True,  "hardswish", 1),
    _Row(5, 144,  48, True,  "hardswish", 1),
    _Row(5, 288,  96, True,  "hardswish", 2),
    _Row(5, 576,  96, True,  "hardswish", 1),
    _Row(5, 576,  96, True,  "hardswish", 1),
)  # fmt: skip
STEM, NUM_C5_ROWS, LAST_EXPANSION = 16, 3, 6


@dataclass(frozen=True)
class MobileNetV3:
    """Builds backbones from a table of the paper: ``mobilenet_v3_large`` and ``mobilenet_v3_small``.

    ``stage_sizes`` counts the rows with equal channels, as timm groups them; ``hidden_channels`` is the width
    of the classifier's hidden layer ("NBN").
    """

    name: str
    rows: Sequence[_Row] = field(repr=False)
    stage_sizes: Sequence[int] = field(repr=False)
    imagenet_url: str = field(repr=False)
    hidden_channels: int = field(repr=False)

    def __call__(
        self,
        *,
        width_mult: float = 1.0,
        output_stride: int = 32,
        reduced_tail: ReducedTail | None = None,
        width_rule: WidthRule = "paper",
        minimalistic: bool = False,
        out_features: Sequence[str] = ("c2", "c3", "c4", "c5"),
        weights: str | Path | None = None,
        in_channels: int = 3,
        padding: Padding = "torch",
        dilation_rule: DilationRule = "tensorflow",
        norm_eps: float = 1e-3,
        norm_momentum: float = 0.01,
        widths: Widths | None = None,
        forms: Forms | None = None,
    ) -> MobileNet:
        """MobileNetV3 without its classifier.

        ``reduced_tail`` halves the channels between c4 and c5: ``"detection"`` keeps the first
        expansion of c5 (SSDLite taps it as ``c4_expand``), ``"segmentation"`` halves it too.
        ``width_rule``: ``"paper"`` derives expansions from the scaled input, as all published 0.75
        weights need; ``"torchvision"`` scales each one by itself. ``minimalistic`` is TensorFlow's
        variant for slow accelerators: 3x3 kernels and ReLU throughout, no squeeze-and-excitation.
        ``widths`` states (expanded, out) of every block, as ``adapt`` finds them, ``forms`` (kernel size,
        squeeze-and-excitation, activation), as ``search`` does.
        ``weights`` is ``"imagenet"`` (torchvision's published file, downloaded once) or a local file
        with torchvision's, timm's or our names; of timm's, the ``tf_`` files need ``padding="same"``
        and the others ``norm_eps=1e-5``. The other arguments are those of :class:`MobileNet`.

        Raises:
            ValueError: an unknown feature name, output stride, rule, tail, padding, widths or forms.
            InputError: ``weights`` does not fit or can't be loaded.
        """
        scaled = self.scaled(width_mult, reduced_tail, width_rule, minimalistic)
        backbone = MobileNet(
            with_forms(with_widths(scaled, widths), forms),
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

    def scaled(
        self, width_mult: float, reduced_tail: ReducedTail | None, width_rule: WidthRule, minimalistic: bool
    ) -> Architecture:
        """The table with its variants and width multiplier applied."""
        rows = reduce_tail(self.rows, reduced_tail)
        if minimalistic:
            rows = [row._replace(kernel_size=3, squeeze=False, activation="relu") for row in rows]
        stem = make_divisible(STEM * width_mult)
        blocks = scale_rows(rows, stem, width_mult, width_rule)
        last, activation = make_divisible(LAST_EXPANSION * blocks[-1].out), rows[-1].activation
        return Architecture(
            3, InvertedResidual, stem, blocks, self.stage_sizes, last, activation, self.imagenet_url
        )


def reduce_tail(rows: Sequence[_Row], reduced_tail: ReducedTail | None) -> list[_Row]:
    """Halve the channels of the blocks of c5 (arXiv:1905.02244, sec. 6.3 and 6.4)."""
    if reduced_tail is None:
        return list(rows)
    if reduced_tail not in ("detection", "segmentation"):
        raise ValueError(f"reduced_tail is {reduced_tail!r}: choose 'detection', 'segmentation' or None.")
    body, (first, *others) = list(rows[:-NUM_C5_ROWS]), rows[-NUM_C5_ROWS:]
    expanded = first.expanded // (2 if reduced_tail == "segmentation" else 1)
    halved = [row._replace(expanded=row.expanded // 2, out=row.out // 2) for row in others]
    return [*body, first._replace(expanded=expanded, out=first.out // 2), *halved]


def scale_rows(rows: Sequence[_Row], stem: int, width_mult: float, width_rule: WidthRule) -> list[BlockSpec]:
    """Apply the width multiplier to a table."""
    if width_rule not in ("paper", "torchvision"):
        raise ValueError(f"width_rule is {width_rule!r}: choose 'paper' or 'torchvision'.")
    blocks = []
    table_in, scaled_in = STEM, stem
    for row in rows:
        out = make_divisible(row.out * width_mult)
        ratio = row.expanded / table_in
        expanded = make_divisible(scaled_in * ratio if width_rule == "paper" else row.expanded * width_mult)
        blocks.append(row._replace(expanded=expanded, out=out))
        table_in, scaled_in = row.out, out
    return blocks


mobilenet_v3_large = MobileNetV3(
    name="mobilenet_v3_large",
    rows=LARGE_ROWS,
    stage_sizes=(1, 2, 3, 4, 2, 3),
    imagenet_url="https://download.pytorch.org/models/mobilenet_v3_large-5c1a4163.pth",
    hidden_channels=1280,
)
mobilenet_v3_small = MobileNetV3(
    name="mobilenet_v3_small",
    rows=SMALL_ROWS,
    stage_sizes=(1, 2, 3, 2, 3),
    imagenet_url="https://download.pytorch.org/models/mobilenet_v3_small-047dcff4.pth",
    hidden_channels=1024,
)
