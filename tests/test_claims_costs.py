"""Claims about multiply-adds, parameters and memory, counted from the models (``docs/claims.md``)."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

import pytest
import torch
from torch import nn

from pocketvision.backbones import WithExtraBlocks, mobilenet_v1, mobilenet_v2
from pocketvision.core.anchors import TensorFlowAnchors
from pocketvision.core.structures import FeatureInfo
from pocketvision.costs.measure import Cost, measure_cost
from pocketvision.heads import ClassifierHead, DeepLabV3Head, SSDHead, SSDLiteHead

V2_ROWS = (
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
)  # fmt: skip
V2_BLOCKS = [(t, c, s if i == 0 else 1) for t, c, n, s in V2_ROWS for i in range(n)]
"""Table 2 of arXiv:1801.04381, block by block: expansion, channels, stride."""


def classifier(backbone: nn.Module, feature: str, hidden: int | None = None, size: int = 224) -> Cost:
    head = ClassifierHead(backbone.feature_info, 1000, hidden, feature)
    return measure_cost(nn.Sequential(backbone, head), (size, size))


def test_separable_convolution_costs_one_over_n_plus_one_over_k_squared() -> None:
    """Table 3 of arXiv:1704.04861: 14x14x512, then width 0.75, then resolution 0.714."""

    def separable(channels: int, size: int) -> Cost:
        depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        layers = nn.Sequential(depthwise, nn.Conv2d(channels, channels, 1, bias=False))
        return measure_cost(layers, (size, size), in_channels=channels)

    full = measure_cost(nn.Conv2d(512, 512, 3, padding=1, bias=False), (14, 14), in_channels=512)
    costs = [full, separable(512, 14), separable(384, 14), separable(384, 10)]
    assert [round(cost.madds / 1e6, 1) for cost in costs] == [462.4, 52.3, 29.6, 15.1]
    assert [round(cost.params / 1e6, 2) for cost in costs] == [2.36, 0.27, 0.15, 0.15]
    assert costs[1].madds / full.madds == pytest.approx(1 / 512 + 1 / 3**2)
    assert round(full.madds / costs[1].madds, 2) == 8.84


def test_v1_with_full_convolutions_costs_eight_and_a_half_times_as_much() -> None:
    backbone = mobilenet_v1(out_features=("c5",))
    convs = [m for m in backbone.modules() if isinstance(m, nn.Conv2d)]
    stem, pairs = convs[0], list(zip(convs[1::2], convs[2::2], strict=True))
    full = nn.Sequential(stem, *(
        nn.Conv2d(depthwise.in_channels, point.out_channels, 3, depthwise.stride, 1, bias=False)
        for depthwise, point in pairs
    ))  # fmt: skip
    ours, theirs = classifier(backbone, "c5"), measure_cost(full, (224, 224))
    logits = 1024 * 1000 + 1000
    assert (ours.madds, ours.params) == (568_740_352, 4_231_976)
    assert round(theirs.madds / 1e6, 2) == 4866.27
    assert round((theirs.params + logits) / 1e6, 2) == 29.28
    assert round(theirs.madds / ours.madds, 2) == 8.56


def test_v1_has_28_layers_and_most_parameters_in_its_1x1_convolutions() -> None:
    """Tables 1, 2 and 7 of arXiv:1704.04861."""
    backbone = mobilenet_v1(out_features=("c5",))
    convs = [m for m in backbone.modules() if isinstance(m, nn.Conv2d)]
    assert len(convs) + 1 == 28
    weights = {
        "1x1": sum(m.weight.numel() for m in convs if m.kernel_size == (1, 1)),
        "other": sum(m.weight.numel() for m in convs if m.kernel_size == (3, 3)),
        "logits": 1024 * 1000,
    }
    shares = {kind: round(100 * count / sum(weights.values()), 2) for kind, count in weights.items()}
    assert (shares["1x1"], shares["logits"]) == (74.59, 24.33)
    by_size = [classifier(backbone, "c5", size=size).madds // 10**6 for size in (224, 192, 160, 128)]
    assert by_size == [568, 418, 290, 186]


def test_v2_has_17_bottlenecks_that_cost_what_the_formula_says() -> None:
    backbone = mobilenet_v2(out_features=("last",))
    layers = measure_cost(backbone, (224, 224)).layers
    counted: dict[int, int] = {}
    for layer in layers:
        if match := re.match(r"blocks\.(\d+)\.", layer.name):
            counted[int(match[1])] = counted.get(int(match[1]), 0) + layer.madds
    size, channels, expected, as_written = 112, 32, {}, {}
    for i, (t, out, stride) in enumerate(V2_BLOCKS):
        expand = size**2 * channels * t * channels if t > 1 else 0
        rest = (size // stride) ** 2 * t * channels * (3**2 + out)
        expected[i] = expand + rest
        as_written[i] = size**2 * channels * t * (channels * (t > 1) + 3**2 + out)
        size, channels = size // stride, out
    assert counted == expected and len(counted) == len(backbone.blocks) == 17
    strided = {i for i, (_, _, stride) in enumerate(V2_BLOCKS) if stride == 2}
    assert {i for i in expected if expected[i] != as_written[i]} == strided
    assert {round(layer.madds / 1e6, 2) for layer in layers if layer.name.startswith("stem")} == {10.84}


def test_v2_costs_300m_and_its_family_ranges_from_12m_to_582m() -> None:
    def cost(width_mult: float, size: int) -> Cost:
        return classifier(mobilenet_v2(width_mult=width_mult, out_features=("last",)), "last", size=size)

    usual, largest, smallest = cost(1.0, 224), cost(1.4, 224), cost(0.35, 96)
    assert (usual.madds, usual.params, usual.params_without_norm) == (300_774_272, 3_504_872, 3_470_760)
    assert (largest.madds, largest.params) == (582_195_824, 6_108_776)
    assert (smallest.madds, smallest.params) == (11_934_128, 1_677_128)


def test_maps_are_as_large_as_the_papers_table_says() -> None:
    """Table 3 of arXiv:1801.04381, kilobytes of 16-bit maps at 224x224."""
    levels = ("c1", "c2", "c3", "c4", "c5")

    def kilobytes(channels: list[int]) -> list[float]:
        return [round((224 // 2**level) ** 2 * c * 2 / 1000, 1) for level, c in enumerate(channels, start=1)]

    v1, v2 = mobilenet_v1(out_features=levels), mobilenet_v2(out_features=levels)
    channels_v1 = [info.channels for info in v1.feature_info.values()]
    channels_v2 = [v2.feature_info[name].channels for name in levels]
    assert kilobytes(channels_v1) == [1605.6, 802.8, 401.4, 200.7, 100.4]
    assert kilobytes([16, *channels_v2[1:]]) == [401.4, 150.5, 50.2, 37.6, 31.4]
    assert kilobytes([16, 32, 64, 160, 320]) == [401.4, 200.7, 100.4, 62.7, 31.4]
    assert (channels_v1[-1], channels_v2[-1]) == (1024, 320)
    with torch.no_grad():
        images = torch.zeros(1, 3, 224, 224)
        assert [x["c5"].shape[1:] for x in (v1(images), v2(images))] == [(1024, 7, 7), (320, 7, 7)]


def test_splitting_blocks_saves_six_tenths_of_the_peak_memory() -> None:
    """Sec. 5.1 of arXiv:1801.04381: with t groups a block holds input, output and 1/t of what is between."""

    def peak(num_groups: int | None) -> float:
        """Kilobytes of 16-bit values at 224x224; None: a channel at a time."""
        size, channels, peaks = 112, 32, []
        for t, out, stride in V2_BLOCKS:
            expanded, after = channels * t, size // stride
            at_once = math.ceil(expanded / num_groups) if num_groups else 1
            inner = at_once * ((t > 1) * size**2 + after**2)
            peaks.append(size**2 * channels + inner + after**2 * out)
            size, channels = after, out
        return round(max(peaks) * 2 / 1000, 1)

    peaks = [peak(groups) for groups in (1, 2, 3, 4, 5, None)]
    assert peaks == [3562.5, 2057.2, 1555.5, 1404.9, 1379.8, 1229.3]
    assert [round(100 * (1 - p / peaks[0])) for p in peaks] == [0, 42, 56, 61, 61, 65]


class Maps(nn.Module):
    """A backbone of which only the declared sizes are read."""

    def __init__(self) -> None:
        super().__init__()
        self.feature_info = {"c4_expand": FeatureInfo(576, 16), "last": FeatureInfo(1280, 32)}


def test_ssdlite_s_head_is_a_seventh_of_ssd_s() -> None:
    """Table 5 of arXiv:1801.04381: for MobileNetV2 at 320x320, 80 classes, with the extra blocks."""
    sizes = (20, 10, 5, 3, 2, 1)
    pyramid = WithExtraBlocks(Maps())
    channels = [info.channels for info in pyramid.feature_info.values()]
    num_anchors = TensorFlowAnchors().num_anchors(6)

    def total(head: SSDHead | SSDLiteHead, extra_blocks: Iterable[nn.Module]) -> tuple[float, float]:
        blocks = [(head.class_blocks, 0), (head.box_blocks, 0), (extra_blocks, 1)]
        costs = [
            measure_cost(block, (sizes[i], sizes[i]), in_channels=channels[i])
            for part, first in blocks
            for i, block in enumerate(part, start=first)
        ]
        return sum(c.params_without_norm for c in costs) / 1e6, sum(c.madds for c in costs) / 1e9

    full_blocks = [
        nn.Sequential(nn.Conv2d(c, out // 2, 1, bias=False), nn.Conv2d(out // 2, out, 3, 2, 1, bias=False))
        for c, out in ((1280, 512), (512, 256), (256, 256), (256, 128))
    ]
    ssd = total(SSDHead(pyramid.feature_info, num_anchors, 81), full_blocks)
    ssdlite = total(SSDLiteHead(pyramid.feature_info, num_anchors, 81), pyramid.extra_blocks)
    assert [round(value, 2) for value in (*ssd, *ssdlite)] == [14.77, 1.26, 2.10, 0.18]
    assert ssdlite[1] == pytest.approx(0.35 / 2, rel=0.02), "the printed 0.35B is twice our count"


def test_ssdlite_costs_a_twentieth_of_yolov2() -> None:
    """Table 6 of arXiv:1801.04381: YOLOv2 has 50.7M parameters and 17.5B multiply-adds."""
    pyramid = WithExtraBlocks(mobilenet_v2(out_features=("c4_expand", "last")))
    head = SSDLiteHead(pyramid.feature_info, TensorFlowAnchors().num_anchors(6), 91)
    cost = measure_cost(nn.Sequential(pyramid, head), (320, 320))
    assert (cost.params, round(cost.madds / 1e9, 2)) == (4_500_543, 0.80)
    assert 17.5e9 / cost.madds > 20 and 50.7e6 / cost.params > 10


def test_mobile_deeplabv3_costs_a_fifth_of_v1_with_aspp() -> None:
    """Table 7 of arXiv:1801.04381: 513x513, 21 classes, output stride 16, logits resized to the image."""
    backbone = mobilenet_v2(out_features=("c5",), output_stride=16)
    cost = measure_cost(nn.Sequential(backbone, DeepLabV3Head(backbone.feature_info, 21)), (513, 513))
    resized = 21 * 513**2
    assert round((cost.madds + resized) / 1e9, 2) == 2.75
    assert cost.params / 1e6 == pytest.approx(2.11, abs=0.005)
    assert 14.25e9 / cost.madds > 5 and 11.15e6 / cost.params > 5
