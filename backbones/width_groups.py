"""Which widths of a MobileNet can change by themselves, and which only together."""

from __future__ import annotations

from typing import NamedTuple

from torch import nn

from pocketvision.backbones.blocks import InvertedResidual
from pocketvision.backbones.mobilenet import MobileNet
from pocketvision.backbones.widths import Widths
from pocketvision.core.errors import InputError
from pocketvision.core.protocols import Backbone, body_of

WidthPlace = tuple[int, int]
"""Where a width stands in a table of widths: (block, 0) its expansion, (block, 1) its output."""


class WidthGroup(NamedTuple):
    """Widths that are one: an expansion, or the outputs of all blocks that add to the same tensor."""

    name: str
    places: tuple[WidthPlace, ...]

    def width(self, widths: Widths) -> int:
        """Its width in a table."""
        block, part = self.places[0]
        return widths[block][part]

    def resized(self, widths: Widths, width: int) -> tuple[tuple[int, int], ...]:
        """The table with another width for this group."""
        changed = [list(pair) for pair in widths]
        for block, part in self.places:
            changed[block][part] = width
        return tuple((expanded, out) for expanded, out in changed)


def adaptable_body(backbone: Backbone) -> MobileNet:
    """The innermost backbone, whose widths can change block by block.

    Raises:
        InputError: it is no MobileNetV2 or V3.
    """
    body = body_of(backbone)
    if not isinstance(body, MobileNet) or not all(isinstance(b, InvertedResidual) for b in body.blocks):
        raise InputError(
            "Widths change block by block on MobileNetV2 and V3 only: choose a run or config on one of them."
        )
    return body


def width_groups(body: MobileNet) -> list[WidthGroup]:
    """The groups of a built backbone of inverted residuals, from the first block to the last.

    Left out is what is tied to the stem, and what was not built. Expansions that do not widen have no
    width of their own.
    """
    groups: list[WidthGroup] = []
    chain: list[WidthPlace] | None = None  # None: of the stem
    for index, block in enumerate(body.blocks):
        assert isinstance(block, InvertedResidual)
        if not isinstance(block.expand, nn.Identity):
            groups.append(WidthGroup(f"expansion of block {index}", ((index, 0),)))
        if block.until != "output":
            break
        if not block.has_residual:
            chain = []
            groups.append(WidthGroup("", ()))
        if chain is not None:
            chain.append((index, 1))
            at = next(i for i in reversed(range(len(groups))) if groups[i].places[:1] in ((), (chain[0],)))
            groups[at] = WidthGroup(_chain_name(chain), tuple(chain))
    return groups


def _chain_name(chain: list[WidthPlace]) -> str:
    first, last = chain[0][0], chain[-1][0]
    return f"output of block {first}" if first == last else f"outputs of blocks {first}-{last}"
