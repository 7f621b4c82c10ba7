"""LR-ASPP's gates in graphs for images of any size, where the number of windows is not known."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def gates_of_any_size(logits: Tensor, window: int | None, stride: tuple[int, int]) -> Tensor:
    """The gate at every cell of (N, C, h, w), from the ``logits`` of the gate at the single cells.

    What averaging over windows of ``window`` cells (or the whole side where that is shorter) every ``stride``
    cells, the sigmoid and enlarging with aligned corners give, in one go: each cell lies between two windows
    in each direction. A 1x1 convolution may be taken before the average as well as after it. Without a
    window it is the whole map's gate (N, C, 1, 1).
    """
    if window is None:
        return logits.mean((2, 3), keepdim=True).sigmoid()
    top, bottom, down = _neighbors(logits, 2, window, stride[0])
    (top_left, top_right), (low_left, low_right) = (
        _neighbors(rows, 3, window, stride[1])[:2] for rows in (top, bottom)
    )
    across = _neighbors(logits, 3, window, stride[1])[2]
    above = torch.lerp(top_left.sigmoid(), top_right.sigmoid(), across)
    below = torch.lerp(low_left.sigmoid(), low_right.sigmoid(), across)
    return torch.lerp(above, below, down[:, None])


def _neighbors(values: Tensor, axis: int, window: int, step: int) -> tuple[Tensor, Tensor, Tensor]:
    """For each cell along ``axis`` the averages over the two windows that it lies between, and how near it
    is to the second: two tensors as ``values`` and shares (length,)."""
    # Lengths as tensors, not numbers: nothing of the graph's shapes depends on how many windows there are.
    cells = torch.arange(values.shape[axis], device=values.device)
    length = cells[-1] + 1
    side = length.clamp(max=window)
    last = torch.div(length - side, step, rounding_mode="floor")
    position = cells.to(values.dtype) * (last / (length - 1).clamp(min=1))
    first = position.floor()
    share = position - first
    start = first.to(torch.int64)
    sums = F.pad(values.cumsum(axis), (1, 0) if axis == 3 else (0, 0, 1, 0))

    def average(starts: Tensor) -> Tensor:
        begin, end = starts * step, starts * step + side
        return (sums.index_select(axis, end) - sums.index_select(axis, begin)) / side

    return average(start), average(torch.minimum(start + 1, last)), share
