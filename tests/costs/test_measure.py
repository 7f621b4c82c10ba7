"""Covers costs/operators.py, costs/shape_trace.py.

Counting: against torch's own counter, torchvision's published figures, and sums done by hand.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from pocketvision.costs.measure import Cost, measure_cost


@pytest.mark.parametrize(
    ("name", "params", "madds"),
    [
        ("mobilenet_v2", 3504872, 0.301),
        ("mobilenet_v3_large", 5483032, 0.217),
        ("mobilenet_v3_small", 2542856, 0.057),
        ("resnet18", 11689512, 1.814),
        ("mnasnet0_5", 2218512, 0.104),
    ],
)
def test_torchvision_publishes_the_same(name: str, params: int, madds: float) -> None:
    with torch.device("meta"):
        model = torchvision.models.get_model(name)
    cost = measure_cost(model, (224, 224))
    assert cost.params == params
    assert round(cost.madds / 1e9, 3) == madds


def test_torch_counts_twice_as_many_flops() -> None:
    model = torchvision.models.mobilenet_v3_small(num_classes=7).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.zeros(1, 3, 97, 65))
    assert 2 * measure_cost(model, (97, 65)).madds == counter.get_total_flops()


class Functional(nn.Module):
    """Multiplies without layers: a convolution, a transposed one, a matrix product and attention."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(4, 3, 3, 3))
        self.back = nn.Parameter(torch.zeros(4, 2, 2, 2))
        self.attention = nn.MultiheadAttention(2, 1, batch_first=True)

    def forward(self, images: Tensor) -> Tensor:
        x = F.conv2d(images, self.weight, padding=1)  # (1, 4, 4, 6)
        x = F.conv_transpose2d(x, self.back, stride=2)  # (1, 2, 8, 12)
        tokens = x.flatten(2)[..., :5].transpose(1, 2)  # (1, 5, 2)
        tokens = tokens @ tokens.transpose(1, 2) @ tokens
        attended: Tensor = self.attention(tokens, tokens, tokens, need_weights=False)[0]
        return attended


def test_functional_multiplications_are_seen_in_their_module() -> None:
    cost = measure_cost(Functional(), (4, 6))
    convolution, transposed, product = 4 * 6 * 4 * 27, 4 * 6 * 4 * 2 * 4, 2 * 5 * 5 * 2
    attention = 5 * 2 * 6 + 2 * 5 * 5 * 2 + 5 * 2 * 2
    assert cost.madds == convolution + transposed + product + attention
    assert {layer.name: layer.madds for layer in cost.layers if layer.madds} == {
        "": convolution + transposed + product,
        "attention": attention,
    }
    assert cost.params == sum(layer.params for layer in cost.layers) == 4 * 27 + 32 + 18 + 6


class Auxiliary(nn.Module):
    """A shared layer, a tied weight and a head that inference does not use."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)
        self.tied = nn.Conv2d(3, 3, 1, bias=False)
        self.tied.weight = self.conv.weight
        self.norm = nn.BatchNorm2d(3)
        self.auxiliary = nn.Linear(3, 10)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        out = self.norm(self.tied(self.conv(self.conv(images))))
        return {"out": self.auxiliary(out.mean((2, 3))) if self.training else out}


def test_layers_add_up_to_the_totals() -> None:
    cost = measure_cost(Auxiliary().train(), (5, 7))
    assert cost.params == 12 + 6 + 40
    assert cost.params_without_norm == 12 + 40
    assert cost.madds == 3 * 35 * 9
    rows = {layer.name: (layer.params, layer.madds, layer.output_shape) for layer in cost.layers}
    assert rows == {
        "conv": (12, 2 * 35 * 9, (1, 3, 5, 7)),
        "tied": (6, 35 * 9, (1, 3, 5, 7)),
        "auxiliary": (40, 0, None),
    }


def peak(*layers: nn.Module, **options: torch.dtype) -> int:
    return measure_cost(nn.Sequential(*layers), (8, 8), **options).memory


class Residual(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return x + self.inner(x)


def test_memory_is_the_sum_of_live_tensors() -> None:
    """By hand: an image of 3 * 64 floats."""
    unit = 64 * 4
    assert peak(nn.Conv2d(3, 5, 1)) == 8 * unit
    assert peak(nn.Conv2d(3, 5, 1), nn.BatchNorm2d(5), nn.Hardswish(), nn.Conv2d(5, 1, 1)) == 8 * unit
    assert peak(nn.Conv2d(3, 5, 1), nn.Conv2d(5, 9, 1)) == 14 * unit
    assert peak(Residual(nn.Sequential(nn.Conv2d(3, 5, 1), nn.Conv2d(5, 3, 1)))) == 11 * unit
    assert peak(nn.Conv2d(3, 5, 1), nn.Flatten(), nn.Unflatten(1, (5, 64))) == 8 * unit
    assert peak(nn.Conv2d(3, 5, 1), dtype=torch.float16) == 4 * unit


@pytest.mark.parametrize(
    ("width_mult", "size", "kilobytes"),
    [(1.0, 224, 3010.6), (1.0, 192, 2211.8), (0.5, 224, 1505.3), (0.35, 96, 276.5)],
)
def test_memory_of_mobilenet_v2(width_mult: float, size: int, kilobytes: float) -> None:
    """The expanded tensor of the second block before and after its depthwise convolution, 16 bits."""
    with torch.device("meta"):
        model = torchvision.models.mobilenet_v2(width_mult=width_mult)
    cost = measure_cost(model, (size, size), dtype=torch.float16)
    assert round(cost.memory / 1e3, 1) == kilobytes
    assert max(layer.memory for layer in cost.layers) == cost.memory


def test_counting_leaves_the_model_alone() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True)).train()
    before = copy.deepcopy(model.state_dict())
    large: Cost = measure_cost(model, (100_000, 100_000))
    assert large.madds == 99_998**2 * 27 * 4
    assert model.training and not model[0]._forward_hooks and not model[0]._forward_pre_hooks
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert type(model(torch.zeros(2, 3, 5, 5))) is Tensor


class Applied(nn.Module):
    """A function of two maps (1, 3, 4, 1) and (1, 1, 4, 6) and of a matrix (5, 7)."""

    def __init__(self, function: Callable[[Tensor, Tensor, nn.Linear], Tensor]) -> None:
        super().__init__()
        self.function, self.linear = function, nn.Linear(7, 2)

    def forward(self, images: Tensor) -> Tensor:
        return self.function(images[..., :1], images[:, :1], self.linear)


@pytest.mark.parametrize(
    "function",
    [
        lambda x, y, linear: x * y,
        lambda x, y, linear: torch.add(x, y, alpha=2),
        lambda x, y, linear: 2 / x,
        lambda x, y, linear: x / y.to(torch.float16),
        lambda x, y, linear: (x > 0) * y,
        lambda x, y, linear: x.clamp(0, 6),
        lambda x, y, linear: y.mean((2, 3), keepdim=True),
        lambda x, y, linear: y.mean(1),
        lambda x, y, linear: linear(torch.cat([y, x[:, :1]], dim=-1)[0, 0]),
        lambda x, y, linear: F.hardswish(x) + F.relu6(y),
    ],
)
def test_shapes_and_types_are_those_of_a_real_image(
    function: Callable[[Tensor, Tensor, nn.Linear], Tensor],
) -> None:
    model, image = Applied(function), torch.zeros(1, 3, 4, 6)
    last = measure_cost(model, (4, 6)).ops[-1]
    expected = model(image)
    assert last.output_shape == tuple(expected.shape)


class Values(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images[images > 0]


class Constant(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        out = torch.zeros(images.shape)
        out[:, 0] = images[:, 0]
        return out


class Device(nn.Module):
    """Asks for the device and adds a constant that was made there."""

    def forward(self, images: Tensor) -> Tensor:
        with torch.autocast(images.device.type, enabled=False):
            return images + torch.arange(6, device=images.device)


@pytest.mark.parametrize("model", [Values(), Constant(), nn.Sequential(nn.LSTM(6, 2))])
def test_what_shapes_do_not_decide_is_refused(model: nn.Module) -> None:
    if isinstance(model, nn.Sequential):
        model = nn.Sequential(nn.Flatten(0, 2), *model)
    with pytest.raises(ValueError, match="does not run on shapes alone"):
        measure_cost(model, (4, 6))


def test_a_model_may_ask_for_its_device() -> None:
    assert measure_cost(Device(), (4, 6)).memory == 3 * 24 * 4
