"""GIoU and CIoU against torchvision's, and smooth L1's selection."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torchvision.ops import complete_box_iou_loss, generalized_box_iou_loss

from pocketvision.core.boxes import SSDBoxCoder
from pocketvision.core.structures import BoxTarget, DetectionOutput
from pocketvision.losses import FocalLoss, SSDLoss
from pocketvision.losses.box_regression import box_loss, check_box_loss, ciou, giou

CODER = SSDBoxCoder()
THEIRS = {"giou": generalized_box_iou_loss, "ciou": complete_box_iou_loss}


def random_boxes(count: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=generator) * 100
    return torch.cat((corner, corner + 1 + torch.rand(count, 2, generator=generator) * 60), dim=-1)


@pytest.mark.parametrize("kind", THEIRS)
def test_equal_torchvisions_with_gradients(kind: str) -> None:
    boxes, anchors = random_boxes(200, 0), random_boxes(200, 1)
    deltas = torch.randn(200, 4, generator=torch.Generator().manual_seed(2)).requires_grad_()
    ours = box_loss(kind, deltas, boxes, anchors, CODER)  # type: ignore[arg-type]
    theirs = THEIRS[kind](CODER.decode(deltas, anchors), boxes, reduction="sum")
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(*(torch.autograd.grad(loss, deltas)[0] for loss in (ours, theirs)))


@pytest.mark.parametrize("kind", ["smooth_l1", "giou", "ciou"])
def test_a_perfect_box_costs_nothing_and_extremes_have_gradients(kind: str) -> None:
    boxes, anchors = random_boxes(50, 3), random_boxes(50, 4)
    exact = box_loss(kind, CODER.encode(boxes, anchors), boxes, anchors, CODER)  # type: ignore[arg-type]
    assert exact.item() == pytest.approx(0, abs=1e-3)
    for size in (0.0, 1e4, -1e4):
        deltas = torch.full((50, 4), size, requires_grad=True)
        value = box_loss(kind, deltas, boxes, anchors, CODER)  # type: ignore[arg-type]
        value.backward()
        assert torch.isfinite(value) and deltas.grad is not None and torch.isfinite(deltas.grad).all()
    nothing = torch.zeros(0, 4, requires_grad=True)
    box_loss(kind, nothing, boxes[:0], anchors[:0], CODER).backward()  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["giou", "ciou"])
@pytest.mark.parametrize("loss_type", [SSDLoss, FocalLoss])
def test_detection_losses_take_them(kind: str, loss_type: type[SSDLoss] | type[FocalLoss]) -> None:
    loss = loss_type(box_loss=kind, box_weight=2.0)  # type: ignore[arg-type]
    anchors = torch.tensor([[0.0, 0, 10, 10], [10, 0, 20, 10]])
    num_outputs = 4 if loss_type is SSDLoss else 3
    output = DetectionOutput(torch.zeros(1, 2, num_outputs), torch.zeros(1, 2, 4), anchors)
    target = BoxTarget(torch.tensor([[0.0, 0, 10, 8]]), torch.tensor([1]), 0, (20, 20))
    expected = 2 * THEIRS[kind](anchors[:1], target.boxes, reduction="sum")
    torch.testing.assert_close(loss(output, [target])["box_loss"], expected)


def test_an_unknown_kind_is_refused() -> None:
    for make in (SSDLoss, FocalLoss):
        with pytest.raises(ValueError, match="choose from smooth_l1, giou, ciou"):
            make(box_loss="diou")  # type: ignore[arg-type]
    check_box_loss("giou")


@pytest.mark.parametrize(("kind", "tolerance"), [("giou", 1e-5), ("ciou", 2e-3)])
@pytest.mark.parametrize("side", [2e-4, 4e-4, 1e-3])
def test_areas_as_small_as_the_guard_of_the_divisions_equal_torchvisions(
    kind: str, tolerance: float, side: float
) -> None:
    """Which guards with 1e-7 as well, but for the angles of ``ciou``."""
    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(100, 2, generator=generator) * side / 3
    boxes = torch.cat((corners, corners + side * (1 + torch.rand(100, 2, generator=generator))), dim=1)
    others = boxes.roll(1, dims=0)
    ours = {"giou": giou, "ciou": ciou}[kind](boxes, others)
    theirs = 1 - THEIRS[kind](boxes, others, reduction="none")
    torch.testing.assert_close(ours, theirs, rtol=0, atol=tolerance)


def test_the_shape_of_a_box_without_height() -> None:
    """Its angle is pi / 2, a square's pi / 4: a shape of 1 / 4, of which a fifth counts as nothing overlaps.

    The centers are 1 / 2 apart, in a square whose diagonal is the root of 2.
    """
    flat, square = torch.tensor([[0.0, 0, 1, 0]]), torch.tensor([[0.0, 0, 1, 1]])
    expected = 0 - 0.25 / 2 - 0.25 / (1 + 0.25) * 0.25
    assert float(ciou(flat, square)) == pytest.approx(expected, abs=1e-5)
    assert float(ciou(square, flat)) == pytest.approx(expected, abs=1e-5)
