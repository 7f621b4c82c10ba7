"""Layers: rounding of channels, TensorFlow's padding, and BatchNorm at batch size 1."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from timm.layers import Conv2dSame
from torch import nn

from pocketvision.core.layers import (
    BatchNorm,
    ConvNormAct,
    Normalize,
    Residual,
    make_divisible,
    zero_separable,
)


@given(st.floats(1, 4000), st.sampled_from([1, 4, 8, 16]))
def test_channels_are_multiples_near_the_value(value: float, divisor: int) -> None:
    rounded = make_divisible(value, divisor)
    assert rounded % divisor == 0 and rounded >= divisor
    assert rounded >= 0.9 * value
    assert abs(rounded - value) <= divisor


@torch.no_grad()
@pytest.mark.parametrize("kernel_size", [1, 3, 5])
@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (1, 2), (2, 1), (2, 2)])
def test_same_padding_equals_timm_s(kernel_size: int, stride: int, dilation: int) -> None:
    options = {"stride": stride, "dilation": dilation}
    layer = ConvNormAct(2, 3, kernel_size, activation=None, padding="same", **options)
    theirs = Conv2dSame(2, 3, kernel_size, bias=False, **options)
    theirs.weight.copy_(layer.conv.weight)
    for size in ((8, 8), (7, 9), (6, 11), (1, 2)):
        x = torch.randn(1, 2, *size)
        torch.testing.assert_close(layer.conv(x), theirs(x))


@torch.no_grad()
@pytest.mark.parametrize("kernel_size", [3, 5])
def test_paddings_agree_on_odd_sizes_only(kernel_size: int) -> None:
    layers = {
        padding: ConvNormAct(2, 3, kernel_size, stride=2, activation=None, padding=padding)
        for padding in ("torch", "same")
    }
    layers["same"].load_state_dict(layers["torch"].state_dict())
    for size, is_equal in (((9, 13), True), ((8, 13), False), ((9, 12), False)):
        x = torch.randn(1, 2, *size)
        outputs = [layer(x) for layer in layers.values()]
        assert outputs[0].shape == outputs[1].shape
        assert torch.allclose(*outputs, atol=1e-6) == is_equal


def test_same_padding_keeps_sizes_symbolic() -> None:
    """One exported graph serves several image sizes."""
    layer = ConvNormAct(2, 3, 3, stride=2, activation=None, padding="same").eval()
    sizes = {2: torch.export.Dim("height", min=4, max=64), 3: torch.export.Dim("width", min=4, max=64)}
    graph = torch.export.export(layer, (torch.randn(1, 2, 10, 13),), dynamic_shapes=(sizes,)).module()
    for size in ((10, 13), (17, 8)):
        x = torch.randn(1, 2, *size)
        torch.testing.assert_close(graph(x), layer(x))


def test_other_paddings_are_refused() -> None:
    with pytest.raises(ValueError, match="padding is 'valid': choose 'torch' or 'same'"):
        ConvNormAct(2, 3, activation=None, padding="valid")


def test_batch_norm_of_one_value_uses_running_statistics_and_says_so() -> None:
    norm = BatchNorm(4).train()
    norm.running_mean.fill_(2.0)
    x = torch.randn(1, 4, 1, 1)
    with pytest.warns(UserWarning, match="one value per channel"):
        out = norm(x)
    torch.testing.assert_close(out, (x - 2.0) / (1.0 + norm.eps) ** 0.5)
    assert norm.num_batches_tracked == 0


def test_batch_norm_is_torch_s_otherwise() -> None:
    ours, reference = BatchNorm(4), nn.BatchNorm2d(4)
    x = torch.randn(3, 4, 2, 2)
    torch.testing.assert_close(ours(x), reference(x))
    torch.testing.assert_close(ours.running_var, reference.running_var)


def test_normalize_takes_bytes_and_floats_alike() -> None:
    normalize = Normalize((0.5, 0.25, 0.0), (0.5, 0.5, 1.0))
    images = torch.randint(0, 256, (2, 3, 4, 5), dtype=torch.uint8)
    expected = (images.double() / 255 - torch.tensor([0.5, 0.25, 0.0]).view(3, 1, 1)) / torch.tensor(
        [0.5, 0.5, 1.0]
    ).view(3, 1, 1)
    torch.testing.assert_close(normalize(images), expected.float())
    torch.testing.assert_close(normalize(images.float()), expected.float())


def test_a_residual_passes_activations_on_at_first_and_then_adds() -> None:
    conv = partial(ConvNormAct, activation=nn.ReLU)
    block = zero_separable(conv, 4, kernel_size=5)
    residual, x = Residual(block), torch.rand(2, 4, 6, 7)
    assert torch.equal(residual(x), x)
    nn.init.ones_(block[-1].norm.weight)
    torch.testing.assert_close(residual.eval()(x), (x + block.eval()(x)).clamp(min=0))
    assert block(x).abs().sum() > 0 and block(x).min() < 0, "no activation at its end"
    assert zero_separable(conv, 4, 3, stride=2)(x).shape == (2, 4, 3, 4)
