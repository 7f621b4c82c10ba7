"""Widths of a table's blocks, stated one by one: what NetAdapt changes (arXiv:1804.03230)."""

from __future__ import annotations

from collections.abc import Sequence

from pocketvision.backbones.architecture import Architecture

WIDTH_STEP = 8
"""Widths that are found are multiples of it, as processors compute with whole vectors."""

Widths = Sequence[tuple[int, int]]
"""(expanded, out) of every block, from the first to the last."""


def widths_of(architecture: Architecture) -> tuple[tuple[int, int], ...]:
    """What :func:`with_widths` would have to be given to change nothing."""
    return tuple((spec.expanded, spec.out) for spec in architecture.blocks)


def with_widths(architecture: Architecture, widths: Widths | None) -> Architecture:
    """The table with these widths; stem and last convolution keep theirs. None changes nothing.

    Raises:
        ValueError: there is not a pair of positive numbers for each block.
    """
    if widths is None:
        return architecture
    blocks = architecture.blocks
    if len(widths) != len(blocks):
        raise ValueError(
            f"widths has {len(widths)} pairs for {len(blocks)} blocks: give (expanded, out) of each."
        )
    for index, pair in enumerate(widths):
        if len(pair) != 2 or not all(isinstance(width, int) and width > 0 for width in pair):
            raise ValueError(f"widths[{index}] is {pair!r}: give (expanded, out), two numbers above 0.")
    changed = [
        spec._replace(expanded=expanded, out=out)
        for spec, (expanded, out) in zip(blocks, widths, strict=True)
    ]
    return architecture._replace(blocks=changed)
