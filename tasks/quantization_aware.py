"""Training that feels int8: convolutions with rounded weights and inputs (arXiv:1712.05877, sec. 3)."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn


def make_quantization_aware(model: nn.Module) -> None:
    """Let every convolution of ``model`` round its weights and inputs while it trains, in place.

    As the int8 export does: weights to int8 with a scale for every output channel, which BatchNorm's own
    scale does not change, inputs to uint8 between the least and greatest value of the batch. Gradients
    pass as if nothing were rounded. The weights themselves, their names and evaluation stay in float.
    """
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            layer._conv_forward = partial(_rounded_forward, layer)  # type: ignore[method-assign]


def _rounded_forward(conv: nn.Conv2d, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    if conv.training:
        x, weight = round_to_uint8(x), round_to_int8(weight)
    output: Tensor = nn.Conv2d._conv_forward(conv, x, weight, bias)
    return output


def round_to_uint8(x: Tensor) -> Tensor:
    """``x`` on 256 levels between its least and greatest value; 0 is one of them."""
    least, greatest = x.detach().aminmax()
    low, high = least.clamp(max=0), greatest.clamp(min=0)
    scale = ((high - low).float() / 255).clamp(min=1e-12)
    zero_point = (-low / scale).round().to(torch.int32)
    return torch.fake_quantize_per_tensor_affine(x, scale, zero_point, 0, 255)


def round_to_int8(weight: Tensor) -> Tensor:
    """Weights (O, I, H, W) on 255 levels, symmetric about 0, with a scale for every output channel."""
    scale = (weight.detach().abs().amax((1, 2, 3)).float() / 127).clamp(min=1e-12)
    zero_points = torch.zeros_like(scale, dtype=torch.int32)
    return torch.fake_quantize_per_channel_affine(weight, scale, zero_points, 0, -127, 127)
