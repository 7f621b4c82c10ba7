"""What a round of NetAdapt may try: each group of widths, narrowed until the network is faster enough."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from pocketvision.backbones.blocks import InvertedResidual
from pocketvision.backbones.mobilenet import MobileNet
from pocketvision.backbones.width_groups import WidthGroup
from pocketvision.backbones.widths import WIDTH_STEP, Widths

Table = tuple[tuple[int, int], ...]
"""Widths as the search passes them on: (expanded, out) of every block."""
Latency = Callable[[Widths], float]
"""Widths -> seconds on the user's device."""


class Proposal(NamedTuple):
    """One group narrowed: the widths that result, and the seconds that are won."""

    group: WidthGroup
    widths: Table
    won: float


def propose(
    body: MobileNet, groups: Sequence[WidthGroup], widths: Table, latency: Latency, delta: float
) -> list[Proposal]:
    """For every group the widest narrowing that wins ``delta`` seconds; groups without one are left out."""
    before = latency(widths)
    found = []
    for group in groups:
        start = (group.width(widths) - 1) // WIDTH_STEP * WIDTH_STEP
        for width in range(start, 0, -WIDTH_STEP):
            narrowed = group.resized(widths, width)
            won = before - latency(narrowed)
            if won >= delta and keeps_form(body, narrowed):
                found.append(Proposal(group, narrowed, won))
                break
    return found


def keeps_form(body: MobileNet, widths: Widths) -> bool:
    """Whether blocks of these widths expand and add where those of ``body`` do.

    A block whose widths become equal by chance would lose its expansion, or gain a residual.
    """
    channels = body.architecture.stem_channels
    for block, (expanded, out) in zip(body.blocks, widths, strict=False):
        assert isinstance(block, InvertedResidual)
        expands = hasattr(block.expand, "conv")
        if expands != (expanded != channels):
            return False
        is_whole = block.until == "output"
        if is_whole and block.depthwise.conv.stride[0] == 1 and block.has_residual != (channels == out):
            return False
        channels = out
    return True
