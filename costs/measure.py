"""What a model costs: parameters, multiply-adds and peak activation memory, from the graph that it runs.

The model runs once on shapes alone: an image is a tensor without values, so a 1025x2049 image takes as
little time and memory as a small one, and nothing is computed or changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn

from pocketvision.core.structures import Size
from pocketvision.costs.shape_trace import OpCost, trace_ops

NORMS = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm)


@dataclass(frozen=True)
class LayerCost:
    """A module that multiplies, with the normalization, activation and additions that follow it.

    ``output_shape`` is None for a module with parameters that isn't called in inference, as an
    auxiliary head's. ``memory`` is the largest sum of live activations, in bytes, while it runs.
    """

    name: str
    kind: str
    output_shape: tuple[int, ...] | None
    params: int
    madds: int
    memory: int


@dataclass(frozen=True)
class Cost:
    """Cost of one image. The layers' ``params`` and ``madds`` add up to the totals.

    ``params`` counts what is learned, BatchNorm's scale and shift included; ``params_without_norm``
    leaves those out, as TensorFlow's tables do. ``madds`` are the multiplications of convolutions,
    linear layers and matrix products; biases, BatchNorm and activations count nothing.
    ``memory`` is the peak of the activations in bytes (:func:`measure_cost`).
    """

    params: int
    params_without_norm: int
    madds: int
    memory: int
    layers: tuple[LayerCost, ...]
    ops: tuple[OpCost, ...]


def measure_cost(
    model: nn.Module, image_size: Size, *, in_channels: int = 3, dtype: torch.dtype = torch.float32
) -> Cost:
    """Cost of ``model`` in inference for one float image (1, in_channels, height, width).

    Memory is the peak sum of live activations over the operations in the order in which they run, in
    ``dtype``: an operation's inputs and outputs and all that a later one still reads, weights and
    constants excluded. BatchNorm and elementwise operations write over an input that nothing else
    reads, as inference runtimes do (arXiv:1801.04381, sec. 5.1, without its fused blocks).

    Raises:
        ValueError: the forward pass depends on values, so that shapes alone can't run it.
    """
    ops = trace_ops(model, image_size, in_channels, dtype)
    owned = _own_params(model)
    norm = sum(owned[name] for name, module in model.named_modules() if isinstance(module, NORMS))
    params = sum(owned.values())
    return Cost(
        params=params,
        params_without_norm=params - norm,
        madds=sum(op.madds for op in ops),
        memory=max((op.live_bytes for op in ops), default=0),
        layers=tuple(_layers(model, ops, owned)),
        ops=tuple(ops),
    )


def _own_params(model: nn.Module) -> dict[str, int]:
    """Module name -> parameters that it holds itself; a shared one counts where it comes first."""
    seen: set[int] = set()
    owned = {}
    for name, module in model.named_modules():
        own = {id(p): p.numel() for p in module.parameters(recurse=False) if id(p) not in seen}
        seen.update(own)
        owned[name] = sum(own.values())
    return owned


def _layers(model: nn.Module, ops: Sequence[OpCost], owned: Mapping[str, int]) -> list[LayerCost]:
    multiplying = {op.module for op in ops if op.madds}
    rows: dict[str, LayerCost] = {}
    counted: set[str] = set()
    row = None
    for op in ops:
        if op.module in multiplying or row is None:
            row = op.module
        layer = rows.get(row, LayerCost(row, op.kind, op.output_shape, 0, 0, 0))
        params = 0 if op.module in counted else owned[op.module]
        counted.add(op.module)
        rows[row] = replace(
            layer,
            output_shape=op.output_shape if op.madds else layer.output_shape,
            params=layer.params + params,
            madds=layer.madds + op.madds,
            memory=max(layer.memory, op.live_bytes),
        )
    unused = [
        LayerCost(name, type(module).__name__, None, owned[name], 0, 0)
        for name, module in model.named_modules()
        if owned[name] and name not in counted
    ]
    return [*rows.values(), *unused]
