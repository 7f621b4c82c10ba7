"""A MobileNet as a table: its rows, where features are read, and what an output stride changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from pocketvision.backbones.blocks import ActivationName, Block, BlockSpec, Part

DilationRule = Literal["tensorflow", "torchvision"]


class Architecture(NamedTuple):
    """What a table says after width multiplier and variants. ``last_channels`` is None without a last layer.

    ``stage_sizes`` counts the blocks of each group of rows, which timm's names need; ``imagenet_url`` is
    torchvision's published file.
    """

    version: Literal[1, 2, 3, "edgetpu"]
    block: type[Block]
    stem_channels: int
    blocks: Sequence[BlockSpec]
    stage_sizes: Sequence[int]
    last_channels: int | None
    activation: ActivationName
    imagenet_url: str | None = None


class Tap(NamedTuple):
    """Where a feature is read: part of ``block`` (-1: stem, number of blocks: last convolution)."""

    block: int
    part: Part


class Placement(NamedTuple):
    """A block under an output stride: what it does, and the strides of its input and output."""

    stride: int
    dilation: int
    has_residual: bool
    stride_before: int
    stride_after: int


def feature_taps(architecture: Architecture) -> dict[str, Tap]:
    """Every feature name of a table and where it is read, finest first."""
    blocks = architecture.blocks
    taps = {}
    level, starts, ends = 1, {1: -1}, {1: -1}
    channels = [architecture.stem_channels, *(spec.out for spec in blocks)]
    for index, spec in enumerate(blocks):
        level += spec.stride // 2
        starts.setdefault(level, index)
        ends[level] = index
    for level, index in ends.items():
        if index > starts[level]:
            taps[f"c{level}_first"] = Tap(starts[level], "output")
        if index >= 0 and not blocks[index].fused:
            taps[f"c{level}_depthwise"] = Tap(index, "depthwise")
        taps[f"c{level}"] = Tap(index, "output")
        following = index + 1
        if following < len(blocks) and _has_expansion(blocks[following], channels[following]):
            taps[f"c{level}_expand"] = Tap(following, "expand")
    if architecture.last_channels is not None:
        taps["last"] = Tap(len(blocks), "output")
    return taps


def _has_expansion(spec: BlockSpec, in_channels: int) -> bool:
    """Whether a block has an expanded tensor at the resolution of its input."""
    return spec.expanded != in_channels and not spec.fused


def place_blocks(blocks: Sequence[BlockSpec], output_stride: int, rule: DilationRule) -> list[Placement]:
    """Turn strides beyond ``output_stride`` into dilation.

    A block without a real stride has a residual, as in slim and timm; torchvision goes by the table's.
    """
    if output_stride not in (8, 16, 32):
        raise ValueError(f"output_stride is {output_stride}: choose 8, 16 or 32.")
    if rule not in ("tensorflow", "torchvision"):
        raise ValueError(f"dilation_rule is {rule!r}: choose 'tensorflow' or 'torchvision'.")
    places, total, dilation = [], 2, 1
    for spec in blocks:
        loses_stride = total * spec.stride > output_stride
        stride = 1 if loses_stride else spec.stride
        following = dilation * spec.stride if loses_stride else dilation
        own = following if rule == "torchvision" else dilation
        has_residual = spec.residual and (spec.stride if rule == "torchvision" else stride) == 1
        places.append(Placement(stride, own, has_residual, total, total * stride))
        total, dilation = total * stride, following
    return places
