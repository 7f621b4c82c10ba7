"""Box arithmetic against torchvision, and the coder's properties."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchvision import ops
from torchvision.models.detection._utils import BoxCoder as TorchvisionBoxCoder

from pocketvision.core.boxes import SSDBoxCoder, box_area, box_iou, clip_boxes, to_center_size


def random_boxes(*shape: int, seed: int = 0, size: float = 320.0, smallest: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(*shape, 2, generator=generator) * size
    extent = torch.rand(*shape, 2, generator=generator) * size / 2 + smallest
    return torch.cat((corner, corner + extent), dim=-1)


def boxes_strategy() -> st.SearchStrategy[list[float]]:
    corner, extent = st.floats(-500, 2000, width=32), st.floats(1, 1000, width=32)
    return st.tuples(corner, corner, extent, extent).map(lambda b: [b[0], b[1], b[0] + b[2], b[1] + b[3]])


def test_area_and_iou_equal_torchvision() -> None:
    first, second = random_boxes(40, seed=1), random_boxes(50, seed=2)
    torch.testing.assert_close(box_area(first), ops.box_area(first))
    torch.testing.assert_close(box_iou(first, second), ops.box_iou(first, second))


def test_iou_of_batches_is_the_iou_of_each() -> None:
    first, second = random_boxes(3, 7, seed=3), random_boxes(9, seed=4)
    for image, iou in zip(first, box_iou(first, second), strict=True):
        torch.testing.assert_close(iou, ops.box_iou(image, second))


def test_boxes_without_area_have_iou_zero_not_nan() -> None:
    point = torch.tensor([[5.0, 5.0, 5.0, 5.0]])
    assert torch.equal(box_iou(point, torch.cat((point, random_boxes(3)))), torch.zeros(1, 4))


@settings(deadline=None, max_examples=50)
@given(st.lists(boxes_strategy(), min_size=1, max_size=6))
def test_iou_is_symmetric_bounded_and_one_with_itself(values: list[list[float]]) -> None:
    boxes = torch.tensor(values, dtype=torch.float64)
    iou = box_iou(boxes, boxes)
    torch.testing.assert_close(iou, iou.T)
    torch.testing.assert_close(iou.diagonal(), torch.ones(len(boxes), dtype=torch.float64))
    assert iou.min() >= 0 and iou.max() <= 1 + 1e-9


def test_clip_and_center_size_equal_torchvision() -> None:
    boxes = random_boxes(4, 20) - 60
    torch.testing.assert_close(clip_boxes(boxes, (257, 200)), ops.clip_boxes_to_image(boxes, (257, 200)))
    torch.testing.assert_close(
        torch.cat(to_center_size(boxes), dim=-1), ops.box_convert(boxes, "xyxy", "cxcywh")
    )


@settings(deadline=None, max_examples=100)
@given(boxes_strategy(), boxes_strategy(), st.floats(0.05, 1), st.floats(0.05, 1))
def test_decoding_undoes_encoding(
    box: list[float], anchor: list[float], center_variance: float, size_variance: float
) -> None:
    coder = SSDBoxCoder(center_variance, size_variance, max_log_size=math.log(2000))
    boxes, anchors = (torch.tensor([v], dtype=torch.float64) for v in (box, anchor))
    torch.testing.assert_close(
        coder.decode(coder.encode(boxes, anchors), anchors), boxes, rtol=1e-8, atol=1e-6
    )


def test_coder_equals_torchvision() -> None:
    reference = TorchvisionBoxCoder((10.0, 10.0, 5.0, 5.0))
    boxes, anchors = random_boxes(200, seed=5), random_boxes(200, seed=6, smallest=20)
    torch.testing.assert_close(
        SSDBoxCoder().encode(boxes, anchors), reference.encode_single(boxes, anchors), rtol=1e-5, atol=1e-4
    )
    deltas = torch.randn(200, 4, generator=torch.Generator().manual_seed(7)) * 3
    torch.testing.assert_close(
        SSDBoxCoder().decode(deltas, anchors), reference.decode_single(deltas, anchors), rtol=1e-5, atol=1e-3
    )


def test_decode_bounds_the_size() -> None:
    anchor = torch.tensor([[10.0, 10.0, 26.0, 42.0]])
    huge = torch.tensor([[0.0, 0.0, 1e4, torch.inf]])
    _, size = to_center_size(SSDBoxCoder().decode(huge, anchor))
    torch.testing.assert_close(size, torch.tensor([[1000.0, 2000.0]]))
    reference = TorchvisionBoxCoder((10.0, 10.0, 5.0, 5.0)).decode_single(huge, anchor)
    torch.testing.assert_close(SSDBoxCoder().decode(huge, anchor), reference)


@pytest.mark.parametrize("shape", [(0, 4), (2, 0, 4)])
def test_no_boxes_at_all(shape: tuple[int, ...]) -> None:
    none, coder = torch.zeros(shape), SSDBoxCoder()
    assert coder.encode(none, none).shape == coder.decode(none, none).shape == shape
    assert clip_boxes(none, (10, 10)).shape == shape
    assert box_iou(none, random_boxes(3)).shape == (*shape[:-1], 3)
