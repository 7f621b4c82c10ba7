"""LR-ASPP in its forms: against its description written as loops over windows, and against torchvision's."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.models.segmentation.lraspp import LRASPPHead as TorchvisionHead

from pocketvision.backbones import mobilenet_v3_large, mobilenet_v3_small
from pocketvision.core.structures import FeatureInfo, Size
from pocketvision.heads import LRASPPHead
from pocketvision.heads.lraspp import PaperLRASPP, TwoSkipLRASPP

INFO = {"c3_depthwise": FeatureInfo(12, 8), "last": FeatureInfo(20, 16)}


def features(low: Size, high: Size, count: int = 2) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        "c3_depthwise": torch.randn(count, 12, *low, generator=generator),
        "last": torch.randn(count, 20, *high, generator=generator),
    }


def described(head: PaperLRASPP, low: Tensor, high: Tensor, pool: int, stride: tuple[int, int]) -> Tensor:
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
    gated = F.interpolate(gated[None], low.shape[-2:], mode="bilinear")[0]
    logits = torch.einsum("oc,chw->ohw", head.high_logits.weight[:, :, 0, 0], gated)
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


def test_it_enlarges_before_its_logits_as_tensorflow_does() -> None:
    head = LRASPPHead(INFO, num_classes=5, channels=8).eval()
    sizes = []
    head.high_logits.register_forward_hook(lambda module, inputs, output: sizes.append(output.shape))
    head(features((18, 26), (9, 13)))
    assert sizes == [(2, 5, 18, 26)]


@torch.no_grad()
def test_without_a_window_the_whole_map_has_one_gate() -> None:
    whole = LRASPPHead(INFO, num_classes=5, channels=8, pool_size=None).eval()
    window = LRASPPHead(INFO, num_classes=5, channels=8).eval()
    window.load_state_dict(whole.state_dict())
    training, full = features((98, 98), (49, 49)), features((128, 256), (64, 128))
    torch.testing.assert_close(whole(training), window(training))
    assert not torch.equal(whole(full), window(full))
    gate = whole.gated.gate(full["last"].mean((2, 3), keepdim=True)).sigmoid()
    torch.testing.assert_close(whole.gated(full["last"]), whole.gated.reduce(full["last"]) * gate)


def test_a_single_image_can_be_trained() -> None:
    head = LRASPPHead(INFO, num_classes=3).train()
    head(features((4, 4), (2, 2), count=1)).square().mean().backward()
    assert all(parameter.grad is not None for parameter in head.parameters())


def test_the_features_are_named() -> None:
    info = {"c2": FeatureInfo(12, 4), "c5": FeatureInfo(20, 32), "c3": FeatureInfo(9, 8)}
    head = LRASPPHead(info, num_classes=3, low=("c2",), high="c5").eval()
    maps = {"c2": torch.randn(1, 12, 8, 8), "c5": torch.randn(1, 20, 1, 1), "c3": torch.randn(1, 9, 4, 4)}
    assert head(maps).shape == (1, 3, 8, 8)
    with pytest.raises(ValueError, match="'last', but the backbone gives c2, c5, c3"):
        LRASPPHead(info, num_classes=3, low=("c2",))
    with pytest.raises(ValueError, match="low names no feature"):
        LRASPPHead(info, num_classes=3, low=(), high="c5")


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


@torch.no_grad()
@pytest.mark.parametrize(("low", "high"), [((8, 12), (4, 6)), ((9, 13), (5, 7)), ((2, 2), (1, 1))])
def test_torchvision_form_equals_torchvision(low: Size, high: Size) -> None:
    info = {"c3_first": FeatureInfo(12, 8), "last": FeatureInfo(20, 16)}
    ours, theirs = LRASPPHead(info, 5, form="torchvision").eval(), TorchvisionHead(12, 20, 5, 128).eval()
    for tensor in ours.state_dict().values():
        if tensor.is_floating_point():
            tensor.uniform_(0.1, 0.9).sub_(0.45 if tensor.dim() == 4 else 0.0)
    names = ours.published_names("torchvision")
    pairs = [(key.rpartition("."), tensor) for key, tensor in ours.state_dict().items()]
    theirs.load_state_dict({f"{names[module]}.{leaf}": tensor for (module, _, leaf), tensor in pairs})
    maps = {"c3_first": torch.randn(2, 12, *low), "last": torch.randn(2, 20, *high)}
    expected = theirs({"low": maps["c3_first"], "high": maps["last"]})
    torch.testing.assert_close(ours(maps), expected, rtol=1e-4, atol=1e-5)


def test_published_parameter_count_of_torchvision() -> None:
    backbone = mobilenet_v3_large(output_stride=16, out_features=("c3_first", "last"))
    head = LRASPPHead(backbone.feature_info, 21, form="torchvision")
    assert sum(p.numel() for part in (backbone, head) for p in part.parameters()) == 3_221_538


@pytest.mark.parametrize(
    ("size", "channels", "published"),
    [("large", 256, 3.6), ("large", 128, 3.2), ("small", 256, 1.4), ("small", 128, 1.1), ("small", 64, 1.0)],
)
def test_published_parameter_counts_of_fastseg(size: str, channels: int, published: float) -> None:
    """fastseg's README, millions with the further digits cut off."""
    factory = mobilenet_v3_large if size == "large" else mobilenet_v3_small
    backbone = factory(output_stride=8, out_features=("c1", "c2", "last"))
    head = LRASPPHead(backbone.feature_info, 19, channels, form="two_skip")
    total = sum(p.numel() for part in (backbone, head) for p in part.parameters())
    assert total // 100_000 / 10 == published


def described_two_skips(head: TwoSkipLRASPP, maps: dict[str, Tensor]) -> Tensor:
    """What fastseg and mmsegmentation compute, for maps that its window covers as a whole."""
    high = maps["last"]
    x = head.gated.reduce(high) * head.gated.gate(high.mean((2, 3), keepdim=True)).sigmoid()
    x = F.conv2d(x, head.high_mix.weight, head.high_mix.bias)
    for i, low in enumerate((maps["c2"], maps["c1"])):
        x = F.interpolate(x, low.shape[-2:], mode="bilinear")
        x = head.mix[i](torch.cat([x, F.conv2d(low, head.low_reduce[i].weight)], dim=1))
    return F.conv2d(x, head.logits.weight, head.logits.bias)


@torch.no_grad()
def test_two_skip_form_equals_its_description() -> None:
    info = {"c1": FeatureInfo(6, 2), "c2": FeatureInfo(9, 4), "last": FeatureInfo(20, 8)}
    head = LRASPPHead(info, 5, channels=16, form="two_skip").eval()
    for tensor in head.state_dict().values():
        if tensor.is_floating_point():
            tensor.uniform_(0.1, 0.9).sub_(0.45 if tensor.dim() == 4 else 0.0)
    maps = {"c1": torch.randn(2, 6, 17, 25), "c2": torch.randn(2, 9, 9, 13), "last": torch.randn(2, 20, 5, 7)}
    logits = head(maps)
    assert logits.shape == (2, 5, 17, 25)
    torch.testing.assert_close(logits, described_two_skips(head, maps), rtol=1e-4, atol=1e-5)
    assert [reduce.out_channels for reduce in head.low_reduce] == [64, 32]
    assert [key for key in head.state_dict() if key.endswith("bias") and "norm" not in key] == [
        "high_mix.bias", "logits.bias",
    ]  # fmt: skip


def test_an_unknown_form_is_refused() -> None:
    with pytest.raises(ValueError, match="form is 'lite': choose from paper, torchvision, two_skip"):
        LRASPPHead(INFO, 5, form="lite")


def test_names_of_the_papers_form_are_kept() -> None:
    """Weights of runs depend on them."""
    assert {key.rpartition(".")[0] for key in LRASPPHead(INFO, 5).state_dict()} == {
        "gated.reduce.conv", "gated.reduce.norm", "gated.gate", "high_logits", "low_logits.0",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"form": "torchvision", "pool_size": None}, "one gate for the whole map: leave pool_size"),
        ({"form": "torchvision", "low": ("c2", "c3_first")}, "has one low feature, not 2"),
        ({"low_channels": (8,)}, "low_channels are of form='two_skip', not of 'paper'"),
    ],
)
def test_what_a_form_does_not_have_is_refused(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        LRASPPHead(INFO, 5, **options)
