"""Forms of a table's blocks, stated one by one: what a platform-aware search changes (arXiv:1807.11626)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, get_args

from pocketvision.backbones.architecture import Architecture
from pocketvision.backbones.blocks import ActivationName

KERNEL_SIZES = (3, 5)


class BlockForm(NamedTuple):
    """A block but for its widths: depthwise kernel, whether squeeze-and-excitation, non-linearity."""

    kernel_size: int
    squeeze: bool
    activation: ActivationName


Forms = Sequence[tuple[int, bool, ActivationName]]
"""(kernel size, squeeze-and-excitation, activation) of every block, from the first to the last."""


def forms_of(architecture: Architecture) -> tuple[BlockForm, ...]:
    """What :func:`with_forms` would have to be given to change nothing."""
    return tuple(BlockForm(spec.kernel_size, spec.squeeze, spec.activation) for spec in architecture.blocks)


def with_forms(architecture: Architecture, forms: Forms | None) -> Architecture:
    """The table with these forms; stem and last convolution keep theirs. None changes nothing.

    Raises:
        ValueError: there is not a form for each block, or one has an unknown part.
    """
    if forms is None:
        return architecture
    blocks = architecture.blocks
    if len(forms) != len(blocks):
        raise ValueError(f"forms has {len(forms)} rows for {len(blocks)} blocks: give one of each.")
    names = get_args(ActivationName)
    for index, row in enumerate(forms):
        if len(row) != 3 or row[0] not in KERNEL_SIZES or type(row[1]) is not bool or row[2] not in names:
            raise ValueError(
                f"forms[{index}] is {row!r}: give (kernel size 3 or 5, True or False for "
                f"squeeze-and-excitation, {' or '.join(names)})."
            )
    changed = [spec._replace(**BlockForm(*row)._asdict()) for spec, row in zip(blocks, forms, strict=True)]
    return architecture._replace(blocks=changed)
