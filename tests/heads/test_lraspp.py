"""LR-ASPP against its description, written as loops over windows."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from pocketvision.core.structures import FeatureInfo, Size
from pocketvision.heads import LRASPPHead

INFO = {"c3_depthwise": FeatureInfo(12, 8), "last": FeatureInfo(20, 16)}


def features(low: Size, high: Size, count: int = 2) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        "c3_depthwise": torch.randn(count, 12, *low, generator=generator),
        "last": torch.randn(count, 20, *high, generator=generator),
    }


def described(head: LRASPPHead, low: Tensor, high: Tensor, pool: int, stride: tuple[int, int]) -> Tensor:
    """Sec. 6.4 of arXiv:1905.02244 for one image (C, h, w): 1x1 convolutions as matrix products."""
    height, width = high.shape[-2:]
    rows = range(0, height - min(pool, height) + 1, stride[0])
    columns = range(0, width - min(pool, width) + 1, stride[1])
    windows = [[high[:, y : y + pool, x : x + pool].mean(dim=(1, 2)) for x in columns] for y in rows]
    pooled = torch.stack([torch.stack(row, dim=-1) for row in windows], dim=-2)
    gate = (
        torch.einsum("oc,chw->ohw", head.gated.gate.weight[:, :, 0, 0], pooled)
        + head.gated.gate.bias[:, None, None]
    )
    gate = F.interpolate(gate.sigmoid()[None], (height, width), mode="bilinear", align_corners=True)[0]
    norm = head.gated.reduce.norm
    reduced = torch.einsum("oc,chw->ohw", head.gated.reduce.conv.weight[:, :, 0, 0], high)
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    reduced = (reduced - norm.running_mean[:, None, None]) * scale[:, None, None] + norm.bias[:, None, None]
    gated = reduced.relu() * gate
    logits = torch.einsum("oc,chw->ohw", head.high_logits.weight[:, :, 0, 0], gated)
    logits = F.interpolate(logits[None], low.shape[-2:], mode="bilinear")[0]
    logits = logits + torch.einsum("oc,chw->ohw", head.low_logits[0].weight[:, :, 0, 0], low)
    return logits + (head.high_logits.bias + head.low_logits[0].bias)[:, None, None]


@torch.no_grad()
@pytest.mark.parametrize(
    ("low", "high", "pool", "stride"),
    [
        ((18, 26), (9, 13), 4, (2, 3)),
        ((18, 26), (9, 13), 49, (16, 20)),
        ((33, 5), (17, 3), 5, (16, 20)),
        ((2, 2), (1, 1), 49, (16, 20)),
    ],
)
def test_equals_the_description(low: Size, high: Size, pool: int, stride: tuple[int, int]) -> None:
    torch.manual_seed(0)
    head = LRASPPHead(INFO, num_classes=5, channels=8, pool_size=pool, pool_stride=stride).eval()
    for tensor in head.state_dict().values():
        if tensor.is_floating_point():
            tensor.uniform_(0.1, 0.9).sub_(0.4 if tensor.dim() == 4 else 0.0)
    inputs = features(low, high)
    logits = head(inputs)
    assert logits.shape == (2, 5, *low)
    for i in range(2):
        expected = described(head, inputs["c3_depthwise"][i], inputs["last"][i], pool, stride)
        torch.testing.assert_close(logits[i], expected, rtol=1e-4, atol=1e-5)


def test_published_window_at_full_resolution() -> None:
    """1024x2048 at stride 16: 49x49 windows every 16 rows and 20 columns."""
    pooled = F.avg_pool2d(torch.zeros(1, 1, 64, 128), LRASPPHead(INFO, 2).gated.pool_size, (16, 20))
    assert pooled.shape[-2:] == (1, 4)


def test_a_single_image_can_be_trained() -> None:
    head = LRASPPHead(INFO, num_classes=3).train()
    head(features((4, 4), (2, 2), count=1)).square().mean().backward()
    assert all(parameter.grad is not None for parameter in head.parameters())


def test_the_features_are_named() -> None:
    info = {"c2": FeatureInfo(12, 4), "c5": FeatureInfo(20, 32), "c3": FeatureInfo(9, 8)}
    head = LRASPPHead(info, num_classes=3, low=("c2",), high="c5").eval()
    maps = {"c2": torch.randn(1, 12, 8, 8), "c5": torch.randn(1, 20, 1, 1), "c3": torch.randn(1, 9, 4, 4)}
    assert head(maps).shape == (1, 3, 8, 8)
    with pytest.raises(KeyError, match="last"):
        LRASPPHead(info, num_classes=3, low=("c2",))


def test_further_low_features_add_their_logits_at_a_finer_resolution() -> None:
    info = {"c2": FeatureInfo(6, 4), "c3": FeatureInfo(12, 8), "last": FeatureInfo(16, 16)}
    maps = {
        "c2": torch.randn(1, 6, 16, 24),
        "c3": torch.randn(1, 12, 8, 12),
        "last": torch.randn(1, 16, 4, 6),
    }
    one = LRASPPHead(info, num_classes=5, low=("c3",)).eval()
    two = LRASPPHead(info, num_classes=5, low=("c3", "c2")).eval()
    two.load_state_dict(one.state_dict(), strict=False)
    coarse = F.interpolate(one(maps), (16, 24), mode="bilinear")
    torch.testing.assert_close(two(maps), coarse + two.low_logits[1](maps["c2"]))


def test_it_starts_undecided_whatever_the_features() -> None:
    """Logits that start large, as Kaiming's fan-out rule makes them, cost most of a short training."""
    info = {"c3_depthwise": FeatureInfo(120, 8), "last": FeatureInfo(480, 16)}
    maps = {"c3_depthwise": torch.rand(1, 120, 16, 16) * 6, "last": torch.randn(1, 480, 8, 8)}
    probabilities = LRASPPHead(info, num_classes=5).eval()(maps).softmax(dim=1)
    assert probabilities.max() < 0.9
    assert probabilities.mean((0, 2, 3)).max() < 0.5
