"""Rounded training against its definition, and that it leaves the model as it was."""

from __future__ import annotations

from copy import deepcopy
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import SGD

from pocketvision.backbones import mobilenet_v3_small
from pocketvision.core.resize import Resize
from pocketvision.core.structures import BoxTarget, DetectionSamples
from pocketvision.heads import SSDLiteHead
from pocketvision.losses import SSDLoss
from pocketvision.models import Detector
from pocketvision.tasks import DetectionTask
from pocketvision.tasks.accumulation import losses_in_parts
from pocketvision.tasks.quantization_aware import make_quantization_aware, round_to_int8, round_to_uint8


def test_activations_on_256_levels() -> None:
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)) + 0.3
    scale = (x.max() - x.min()) / 255
    zero = (-x.min() / scale).round()
    expected = ((x / scale).round() + zero).clamp(0, 255).sub(zero).mul(scale)
    torch.testing.assert_close(round_to_uint8(x), expected)
    assert len(np.unique(round_to_uint8(x).numpy())) > 150
    positive = x.abs() + 1
    assert round_to_uint8(positive).max() == positive.max(), "0 is a level, so that padding stays exact"
    assert (round_to_uint8(torch.zeros(1, 1, 2, 2)) == 0).all()


def test_the_zero_point_is_rounded() -> None:
    """From -1.6 in steps of 1: level 0 is at 2, and -2 and 253 can be had, -1 to 254 not."""
    x = torch.tensor([-1.6, 253.4, 0.4, 254.0 - 0.6]).view(1, 1, 2, 2)
    assert round_to_uint8(x).flatten().tolist() == pytest.approx([-2, 253, 0, 253])


def test_weights_on_255_levels_for_every_channel() -> None:
    weight = torch.randn(5, 3, 3, 3, generator=torch.Generator().manual_seed(0))
    weight[4] = 0
    for channel, rounded in zip(weight[:4], round_to_int8(weight), strict=False):
        scale = channel.abs().max() / 127
        torch.testing.assert_close(rounded, (channel / scale).round() * scale)
    assert (round_to_int8(weight)[4] == 0).all()


def test_rounding_weights_before_the_norm_is_rounding_the_folded_ones() -> None:
    weight = torch.randn(5, 3, 3, 3, generator=torch.Generator().manual_seed(0))
    factor = torch.tensor([0.1, -2.0, 3.0, 0.5, -1.0]).view(5, 1, 1, 1)
    torch.testing.assert_close(round_to_int8(weight * factor), round_to_int8(weight) * factor)


def test_gradients_pass() -> None:
    weight = torch.randn(2, 3, 3, 3, requires_grad=True)
    x = torch.randn(1, 3, 5, 5, requires_grad=True)
    (round_to_int8(weight).sum() + round_to_uint8(x).sum()).backward()  # type: ignore[no-untyped-call]
    assert weight.grad is not None and (weight.grad == 1).all()
    assert x.grad is not None and (x.grad == 1).float().mean() > 0.95


def test_a_task_rounds_in_training_only() -> None:
    torch.manual_seed(0)
    backbone = mobilenet_v3_small(width_mult=0.35, out_features=("c1", "c2"))
    detector = Detector(backbone, SSDLiteHead, ("a", "b"), Resize((64, 64)))
    optimizer = partial(SGD, lr=0.1)
    task = DetectionTask(
        detector, loss=SSDLoss(), optimizer=optimizer, reference_batch=8, quantization_aware=True
    )
    samples = DetectionSamples(
        torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8),
        [BoxTarget(torch.tensor([[5.0, 5.0, 40.0, 40.0]]), torch.tensor([1]), i, (64, 64)) for i in range(2)],
    )
    plain, names = deepcopy(detector), list(detector.state_dict())
    before = losses_in_parts(task, [samples], torch.Tensor.backward)[0]
    task.setup("fit")
    after = losses_in_parts(task, [samples], torch.Tensor.backward)[0]
    assert all(after[name] != before[name] for name in before)
    assert all(abs(after[name] - before[name]) < 0.3 * before[name] for name in before)
    assert list(detector.state_dict()) == names
    plain.load_state_dict(detector.state_dict())
    images = samples.images
    for found, expected in zip(detector.eval()(images), plain.eval()(images), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


def test_a_copy_computes_with_its_own_weights() -> None:
    conv = nn.Sequential(nn.Conv2d(3, 4, 1))
    make_quantization_aware(conv)
    other = deepcopy(conv)
    nn.init.zeros_(other[0].weight)
    nn.init.zeros_(other[0].bias)
    x = torch.randn(1, 3, 4, 4)
    assert (other(x) == 0).all() and (conv(x) != 0).any()
