"""Folded BatchNorm comes back: the same output in inference, and statistics that training can start from."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from pocketvision.backbones import mobilenet_v3_small
from pocketvision.core.layers import BatchNorm, freeze_norms
from pocketvision.published.norm_statistics import calibrate

Randomize = Callable[[nn.Module], nn.Module]


def folded(as_trained: Randomize) -> nn.Module:
    """A backbone whose BatchNorms only add, as after reading a file without them."""
    model = as_trained(mobilenet_v3_small(width_mult=0.35, out_features=("c3", "last")))
    for norm in (m for m in model.modules() if isinstance(m, BatchNorm)):
        nn.init.constant_(norm.weight, (1 + norm.eps) ** 0.5)
        nn.init.zeros_(norm.running_mean)
        nn.init.ones_(norm.running_var)
    freeze_norms(model)
    return model


def test_the_output_stays_and_the_statistics_are_those_of_the_images(as_trained: Randomize) -> None:
    model = folded(as_trained)
    images = torch.randn(6, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before = model(images)
        inputs = model.stem.conv(images)
    assert calibrate(model, images.split(2)) == sum(isinstance(m, BatchNorm) for m in model.modules())
    with torch.no_grad():
        after = model(images)
    for name, expected in before.items():
        torch.testing.assert_close(after[name], expected, rtol=1e-5, atol=1e-5)
    norm = model.stem.norm
    torch.testing.assert_close(norm.running_mean, inputs.mean((0, 2, 3)))
    torch.testing.assert_close(norm.running_var, inputs.var((0, 2, 3), unbiased=False))

    # Training mode now sees about what inference does; the folded model's statistics were elsewhere.
    with torch.no_grad():
        trained = model.train()(images)["c3"]
    torch.testing.assert_close(trained, before["c3"], rtol=1e-2, atol=1e-2)


def test_without_images() -> None:
    with pytest.raises(ValueError, match="needs images"):
        calibrate(mobilenet_v3_small(width_mult=0.35, out_features=("c2",)), [])
