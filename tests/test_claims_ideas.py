"""Claims that are ideas or formulas, tried on small numbers (``docs/claims.md``)."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor, nn

from pocketvision.backbones import mobilenet_v2, mobilenet_v3_large, mobilenet_v3_small
from pocketvision.configs import (
    classifier_v1_imagenet,
    classifier_v2_imagenet,
    classifier_v3_large_imagenet,
    classifier_v3_small_imagenet,
)
from pocketvision.core.config import Experiment
from pocketvision.core.layers import SqueezeExcitation


def test_relu_destroys_a_2d_spiral_in_few_dimensions_only() -> None:
    """Figure 1 of arXiv:1801.04381: y = ReLU(T x), T a random n x 2 matrix.

    A point that leaves fewer than two of the n values positive cannot be told from its neighbors.
    Each value is positive with probability 1/2, so (n + 1) / 2^n of the points are lost.
    """
    generator = torch.Generator().manual_seed(0)
    angles = torch.linspace(0.5, 4 * math.pi, 60)
    points = torch.stack((angles.cos(), angles.sin())) * angles
    residual = {}
    for n in (2, 3, 5, 15, 30):
        embedded = (torch.randn(4000, n, 2, generator=generator) @ points).relu()
        lost = ((embedded > 0).sum(dim=1) < 2).float().mean().item()
        assert lost == pytest.approx((n + 1) / 2**n, abs=0.02)
        maps = embedded[:200].mT.double()
        decoder = torch.linalg.pinv(maps, rtol=1e-9) @ points.T.double()
        residual[n] = ((maps @ decoder - points.T).norm(dim=(1, 2)) / points.norm()).median().item()
    assert list(residual.values()) == sorted(residual.values(), reverse=True)
    assert residual[2] > 0.5 and residual[30] < 0.05


def split_block(block: nn.Module, x: Tensor, num_groups: int) -> Tensor:
    """An inverted residual computed a group of its expanded channels at a time."""
    out = x if block.has_residual else 0.0
    expand, depthwise, project = block.expand, block.depthwise, block.project
    norm = project.norm
    for chosen in torch.arange(expand.conv.out_channels).tensor_split(num_groups):
        inner = x
        for layer, groups in ((expand, 1), (depthwise, len(chosen))):
            conv, bn = layer.conv, layer.norm
            inner = F.conv2d(inner, conv.weight[chosen], None, conv.stride, conv.padding, 1, groups)
            statistics = (bn.running_mean[chosen], bn.running_var[chosen], bn.weight[chosen], bn.bias[chosen])
            inner = F.relu6(F.batch_norm(inner, *statistics, False, 0.0, bn.eps))
        out = out + F.conv2d(inner, project.conv.weight[:, chosen]) * _column(norm.weight / _std(norm))
    return out + _column(norm.bias - norm.running_mean * norm.weight / _std(norm))


def _std(norm: nn.BatchNorm2d) -> Tensor:
    return (norm.running_var + norm.eps).sqrt()


def _column(values: Tensor) -> Tensor:
    return values[:, None, None]


@torch.no_grad()
def test_a_block_split_into_groups_of_channels_gives_the_same() -> None:
    """Sec. 5.1 of arXiv:1801.04381: an inverted residual is a sum over its expanded channels."""
    torch.manual_seed(0)
    backbone = mobilenet_v2(out_features=("c3",)).eval()
    for tensor in backbone.state_dict().values():
        if tensor.dim() == 1:  # BatchNorm as after training
            tensor.uniform_(0.2, 1.2)
    for block in (backbone.blocks[1], backbone.blocks[2]):
        x = torch.randn(1, block.expand.conv.in_channels, 12, 12)
        for num_groups in (1, 2, 5, 96):
            torch.testing.assert_close(split_block(block, x, num_groups), block(x), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_squeeze_and_excitation_is_a_quarter_of_the_expansion_with_a_hard_sigmoid() -> None:
    """Sec. 5.3 of arXiv:1905.02244; widths are rounded to multiples of 8."""
    expected = {
        mobilenet_v3_large: [(72, 24), (120, 32), (120, 32), (480, 120), (672, 168), (672, 168), (960, 240)],
        mobilenet_v3_small: [
            (16, 8), (96, 24), (240, 64), (240, 64), (120, 32), (144, 40), (288, 72), (576, 144)
        ],
    }  # fmt: skip
    for builder, widths in expected.items():
        gates = [m for m in builder(out_features=("c5",)).modules() if isinstance(m, SqueezeExcitation)]
        found = [(gate.reduce.in_channels, gate.reduce.out_channels) for gate in gates]
        assert found == [*widths, widths[-1]]
    gate = gates[0]
    x = torch.randn(2, 16, 5, 7) * 4
    squeezed = F.relu(gate.reduce(x.mean(dim=(2, 3), keepdim=True)))
    torch.testing.assert_close(gate(x), x * F.relu6(gate.expand(squeezed) + 3) / 6)


def test_hard_swish_is_x_times_relu6_and_stands_in_the_deeper_half() -> None:
    x = torch.linspace(-8, 8, 401)
    torch.testing.assert_close(nn.Hardswish()(x), x * F.relu6(x + 3) / 6)
    modules = [m for m in mobilenet_v3_large(out_features=("last",)).modules() if not list(m.children())]
    activations = [type(m) for m in modules if isinstance(m, nn.Hardswish | nn.ReLU)]
    blocks = activations[1:-1]
    assert activations[0] == activations[-1] == nn.Hardswish
    assert blocks == [nn.ReLU] * 11 + [nn.Hardswish] * 18


@given(
    st.integers(1, 65), st.sampled_from([1, 3, 5, 7]), st.integers(1, 3), st.integers(1, 3), st.integers(0, 6)
)
def test_size_of_a_convolution_s_output(
    size: int, kernel: int, stride: int, dilation: int, padding: int
) -> None:
    reach = dilation * (kernel - 1) + 1
    assume(size + 2 * padding >= reach)
    conv = nn.Conv2d(1, 1, kernel, stride, padding, dilation, device="meta")
    output = conv(torch.empty(1, 1, size, 9 + size, device="meta"))
    assert list(output.shape[-2:]) == [(n + 2 * padding - reach) // stride + 1 for n in (size, 9 + size)]


def test_configs_train_as_the_papers_say() -> None:
    def recipe(experiment: Experiment) -> dict[str, Any]:
        task = dict(experiment.task.keywords)
        model = experiment.model.func(class_names=("cat", "dog"))
        dropout = next(m.p for m in model.head.modules() if isinstance(m, nn.Dropout))
        return {**task.pop("optimizer").keywords, **task, "dropout": dropout}

    v1, v2 = recipe(classifier_v1_imagenet.config), recipe(classifier_v2_imagenet.config)
    assert v1["decay_depthwise"] is False and v1["loss"].label_smoothing == 0
    assert {"alpha": 0.9, "momentum": 0.9, "reference_batch": 96}.items() <= v2.items()
    v3 = {
        "momentum": 0.9, "lr": 0.1, "reference_batch": 4096, "weight_decay": 1e-5, "ema_decay": 0.9999,
        "decay_rate": 0.99, "decay_epochs": 3, "dropout": 0.2,
    }  # fmt: skip
    for config in (classifier_v3_large_imagenet.config, classifier_v3_small_imagenet.config):
        assert v3.items() <= recipe(config).items()
