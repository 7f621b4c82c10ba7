"""torch's basic operators: how often they multiply, and what shape they write."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor


def _convolution(args: Sequence[Any], output: Tensor) -> int:
    images, weight, transposed = args[0], args[1], args[6]
    positions: Tensor = images if transposed else output  # each is multiplied by one filter
    return positions.numel() * int(math.prod(weight.shape[1:]))


def _product(left: int) -> Callable[[Sequence[Any], Tensor], int]:
    """A matrix product whose left factor is argument number ``left``."""
    return lambda args, output: output.numel() * int(args[left].shape[-1])


MADDS: dict[str, Callable[[Sequence[Any], Tensor], int]] = {
    "convolution": _convolution,
    **{op: _product(0) for op in ("mm", "bmm", "mv", "dot", "vdot")},
    **{op: _product(1) for op in ("addmm", "baddbmm", "addmv")},
}
"""Multiply-adds of torch's basic operators, to which all others come down."""

FUSED = re.compile(r"conv|attention|encoder|lstm|gru|rnn|_mm|mkldnn")
"""Operators that multiply inside, if ``MADDS`` doesn't know them."""

_ELEMENTWISE = (
    "relu", "hardtanh", "clamp", "hardswish", "hardsigmoid", "sigmoid", "silu", "add", "sub", "mul", "div",
)  # fmt: skip
SHAPES: dict[str, Callable[[list[torch.Size]], Sequence[int]]] = {
    **dict.fromkeys(_ELEMENTWISE, lambda shapes: torch.broadcast_shapes(*shapes)),  # type: ignore[no-untyped-call]
    "addmm": lambda shapes: (shapes[1][0], shapes[2][1]),
}
"""Output shapes of operators whose outputs have, among floats, the type of their inputs."""

UNTAGGED = {"native_batch_norm", "hardswish", "_prelu_kernel"}
"""Elementwise operators that torch doesn't tag as such."""
