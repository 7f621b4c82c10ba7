"""BatchNorm statistics for weights that were published with BatchNorm folded into the convolutions."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from pocketvision.core.layers import BatchNorm


class Moments:
    """Mean and variance of each channel over everything that it is shown, summed up in float64."""

    def __init__(self, channels: int) -> None:
        self.count = 0
        self.total = torch.zeros(channels, dtype=torch.float64)
        self.squares = torch.zeros(channels, dtype=torch.float64)

    def update(self, x: Tensor) -> None:
        """Add a map (N, C, h, w)."""
        variance, mean = torch.var_mean(x, (0, 2, 3), correction=0)
        count = x.numel() // x.shape[1]
        self.count += count
        self.total += mean.double() * count
        self.squares += (variance.double() + mean.double().square()) * count

    def mean_and_variance(self) -> tuple[Tensor, Tensor]:
        """Of each channel, (C,) float64."""
        mean = self.total / self.count
        return mean, (self.squares / self.count - mean.square()).clamp(min=0.0)


@torch.no_grad()
def calibrate(model: nn.Module, batches: Iterable[Tensor]) -> int:
    """Measure the statistics that every BatchNorm's input has on ``batches`` (N, 3, H, W) and let the
    BatchNorm have them, with scale and shift such that its output in inference stays what it was.

    Afterwards the model can be trained like any other: its BatchNorms are no longer frozen. Channels
    that never vary keep a variance of 0, to which the epsilon is added as always.

    Returns:
        The number of BatchNorms.

    Raises:
        ValueError: ``batches`` is empty.
    """
    norms = [module for module in model.modules() if isinstance(module, BatchNorm)]
    moments = {norm: Moments(norm.num_features) for norm in norms}

    def measure(norm: BatchNorm, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        moments[norm].update(inputs[0])

    hooks = [norm.register_forward_pre_hook(partial(measure, norm)) for norm in norms]
    was_training = model.training
    model.eval()
    try:
        for batch in batches:
            model(batch)
    finally:
        model.train(was_training)
        for hook in hooks:
            hook.remove()
    for norm, seen in moments.items():
        if not seen.count:
            raise ValueError("calibration needs images: a BatchNorm has seen none.")
        _adopt(norm, *seen.mean_and_variance())
    return len(norms)


def _adopt(norm: BatchNorm, mean: Tensor, variance: Tensor) -> None:
    assert norm.running_mean is not None and norm.running_var is not None
    slope = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    offset = norm.bias.double() - norm.running_mean.double() * slope
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(variance)
    norm.weight.copy_(slope * (variance + norm.eps).sqrt())
    norm.bias.copy_(offset + slope * mean)
    norm.is_frozen = False
