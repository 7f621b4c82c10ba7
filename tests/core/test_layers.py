"""Layers: rounding of channels and BatchNorm at batch size 1."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from pocketvision.core.layers import BatchNorm, Normalize, make_divisible


@given(st.floats(1, 4000), st.sampled_from([1, 4, 8, 16]))
def test_channels_are_multiples_near_the_value(value: float, divisor: int) -> None:
    rounded = make_divisible(value, divisor)
    assert rounded % divisor == 0 and rounded >= divisor
    assert rounded >= 0.9 * value
    assert abs(rounded - value) <= divisor


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
