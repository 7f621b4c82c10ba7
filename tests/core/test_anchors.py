"""Anchor layouts against torchvision's generator and a loop written from TensorFlow's description."""

from __future__ import annotations

import math

import pytest
import torch
from torchvision.models.detection.anchor_utils import DefaultBoxGenerator
from torchvision.models.detection.image_list import ImageList

from pocketvision.core.anchors import (
    ExplicitAnchors,
    TensorFlowAnchors,
    TorchvisionAnchors,
    linear_scales,
    place_anchors,
)
from pocketvision.core.protocols import Anchors
from pocketvision.core.structures import Size

STRIDES = (16, 32, 64, 128, 256, 512)
SIZES = [(300, 300), (320, 320), (257, 385)]


def map_sizes(image_size: Size) -> list[Size]:
    height, width = image_size
    return [(math.ceil(height / stride), math.ceil(width / stride)) for stride in STRIDES]


def tensorflow_anchors(image_size: Size) -> list[list[float]]:
    """``create_ssd_anchors`` one anchor at a time (reference/detection.md, A.4)."""
    height, width = image_size
    scales = [0.2, 0.35, 0.5, 0.65, 0.8, 0.95, 1.0]
    anchors = []
    for level, (rows, columns) in enumerate(map_sizes(image_size)):
        if level == 0:
            specs = [(0.1, 1.0), (0.2, 2.0), (0.2, 0.5)]
        else:
            specs = [(scales[level], ratio) for ratio in (1.0, 2.0, 0.5, 3.0, 0.3333)]
            specs.append((math.sqrt(scales[level] * scales[level + 1]), 1.0))
        for row in range(rows):
            for column in range(columns):
                for scale, ratio in specs:
                    y, x = (row + 0.5) / rows, (column + 0.5) / columns
                    h, w = scale / math.sqrt(ratio), scale * math.sqrt(ratio)
                    anchors.append(
                        [(x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height]
                    )
    return anchors


@pytest.mark.parametrize("size", SIZES)
def test_torchvision_anchors_equal_torchvision(size: Size) -> None:
    generator = DefaultBoxGenerator([[2, 3]] * 6, min_ratio=0.2, max_ratio=0.95)
    images = ImageList(torch.zeros(1, 3, *size), [size])
    (expected,) = generator(images, [torch.zeros(1, 1, *map_size) for map_size in map_sizes(size)])
    torch.testing.assert_close(TorchvisionAnchors()(map_sizes(size), size), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("size", SIZES)
def test_tensorflow_anchors_equal_the_description(size: Size) -> None:
    expected = torch.tensor(tensorflow_anchors(size))
    torch.testing.assert_close(TensorFlowAnchors()(map_sizes(size), size), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("anchors", "size", "count"),
    [
        (TensorFlowAnchors(), 300, 1917),
        (TensorFlowAnchors(), 320, 2034),
        (TorchvisionAnchors(), 300, 3000),
        (TorchvisionAnchors(), 320, 3234),
    ],
)
def test_published_counts(anchors: Anchors, size: int, count: int) -> None:
    maps = map_sizes((size, size))
    assert anchors(maps, (size, size)).shape == (count, 4)
    cells = (rows * columns for rows, columns in maps)
    assert sum(n * k for n, k in zip(cells, anchors.num_anchors(len(maps)), strict=True)) == count


def test_smallest_anchors_at_320() -> None:
    maps = map_sizes((320, 320))
    widths = [(a[:, 2] - a[:, 0]).min() for a in (layout(maps, (320, 320)) for layout in layouts()[:2])]
    assert widths[0] == pytest.approx(32, abs=1e-3)
    assert widths[1] < 64 / math.sqrt(3) + 1e-3


def test_tensorflow_layout_with_the_lowest_map_not_reduced() -> None:
    assert TensorFlowAnchors(reduce_lowest=False).num_anchors(6) == [6] * 6


def layouts() -> list[Anchors]:
    explicit = ExplicitAnchors((((0.1, 0.2), (0.3, 0.1)), ((0.5, 0.5),)))
    return [TensorFlowAnchors(), TorchvisionAnchors(clip=False), explicit]


@pytest.mark.parametrize("layout", layouts(), ids=lambda layout: type(layout).__name__)
def test_anchors_lie_at_cell_centres_in_order_map_row_column(layout: Anchors) -> None:
    maps, size = [(2, 3), (1, 2)], (40, 90)
    anchors = layout(maps, size)
    centers = ((anchors[:, :2] + anchors[:, 2:]) / 2).tolist()
    expected = [
        ((column + 0.5) / columns * size[1], (row + 0.5) / rows * size[0])
        for (rows, columns), count in zip(maps, layout.num_anchors(2), strict=True)
        for row in range(rows)
        for column in range(columns)
        for _ in range(count)
    ]
    torch.testing.assert_close(torch.tensor(centers), torch.tensor(expected))


def test_explicit_anchors_have_the_given_shapes_and_number_of_maps() -> None:
    layout = layouts()[2]
    anchors = layout([(1, 1), (1, 1)], (100, 200))
    torch.testing.assert_close(
        anchors[:, 2:] - anchors[:, :2], torch.tensor([[20.0, 20.0], [60.0, 10.0], [100.0, 50.0]])
    )
    with pytest.raises(ValueError, match="2 maps, the backbone has 3"):
        layout.num_anchors(3)


def test_layouts_are_values() -> None:
    assert TensorFlowAnchors() == TensorFlowAnchors()
    assert hash(TorchvisionAnchors()) == hash(TorchvisionAnchors())
    assert eval(repr(TorchvisionAnchors(0.15)), {"TorchvisionAnchors": TorchvisionAnchors}).min_scale == 0.15


def test_scales_of_few_maps() -> None:
    assert linear_scales(1, 0.2, 0.9, last=1.0) == [0.2, 1.0]
    assert linear_scales(2, 0.2, 0.9, last=1.0) == pytest.approx([0.2, 0.9, 1.0])
    assert linear_scales(3, 0.2, 0.9, last=1.1) == pytest.approx([0.2, 0.55, 0.9, 1.1])


def test_every_map_needs_its_shapes() -> None:
    for shapes, maps in (([[(0.1, 0.1)]], [(1, 1), (1, 1)]), ([[(0.1, 0.1)]] * 2, [(1, 1)])):
        with pytest.raises(ValueError, match=r"zip\(\)"):
            place_anchors(shapes, maps, (10, 10))


@pytest.mark.parametrize("clip", [True, False])
def test_width_and_height_are_clipped_to_the_image_apart(clip: bool) -> None:
    """At scale 0.8 and ratio 2, one side is 1.13 of the image."""
    layout = TorchvisionAnchors(min_scale=0.8, max_scale=0.8, aspect_ratios=(2.0,), clip=clip)
    long, short = 1.0 if clip else 0.8 * math.sqrt(2), 0.8 / math.sqrt(2)
    between = math.sqrt(0.8)
    expected = [(0.8, 0.8), (between, between), (long, short), (short, long)]
    for found, wanted in zip(layout.shapes(1)[0], expected, strict=True):
        assert found == pytest.approx(wanted)
    assert layout.num_anchors(3) == [4, 4, 4]
