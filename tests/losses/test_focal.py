"""The focal loss against torchvision's and, for the boxes, a loop."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torchvision.ops import sigmoid_focal_loss

from pocketvision.core.boxes import SSDBoxCoder, box_iou
from pocketvision.core.structures import BoxTarget, DetectionOutput
from pocketvision.losses.focal import FocalLoss

ANCHORS = torch.tensor([[0.0, 0, 10, 10], [10, 0, 20, 10], [0, 10, 20, 20], [5, 5, 15, 15]])


def target(boxes: list[list[float]], labels: list[int]) -> BoxTarget:
    return BoxTarget(torch.tensor(boxes).reshape(-1, 4), torch.tensor(labels, dtype=torch.long), 0, (20, 20))


def output(seed: int = 0) -> DetectionOutput:
    generator = torch.Generator().manual_seed(seed)
    logits, deltas = (torch.randn(2, 4, n, generator=generator) for n in (3, 4))
    return DetectionOutput(logits.requires_grad_(), deltas.requires_grad_(), ANCHORS)


def test_it_is_torchvisions_focal_loss_over_the_matches() -> None:
    predicted = output()
    targets = [target([[0, 0, 10, 9], [1, 10, 20, 20]], [2, 0]), target([], [])]
    classes = torch.zeros(2, 4, 3)
    matches = {(0, 0): (0, 2), (0, 2): (1, 0)}  # (image, anchor) -> (box, label)
    expected_box: list[Tensor] = []
    for (image, anchor), (box, label) in matches.items():
        assert box_iou(targets[image].boxes, ANCHORS)[box].argmax() == anchor
        classes[image, anchor, label] = 1
        wanted = SSDBoxCoder().encode(targets[image].boxes[box], ANCHORS[anchor])
        difference = (predicted.box_deltas[image, anchor] - wanted).abs()
        expected_box.append(torch.where(difference < 1, difference**2 / 2, difference - 0.5).mean())
    loss = FocalLoss()(predicted, targets)
    focal = sigmoid_focal_loss(predicted.class_logits, classes, alpha=0.75, gamma=2, reduction="sum")
    torch.testing.assert_close(loss["class_loss"], focal / 2)
    torch.testing.assert_close(loss["box_loss"], torch.stack(expected_box).sum() / 2)


def test_images_without_boxes_teach() -> None:
    predicted = output()
    loss = FocalLoss()(predicted, [target([], []), target([], [])])
    sum(loss.values(), torch.zeros(())).backward()
    assert loss["box_loss"] == 0 and predicted.class_logits.grad is not None
    assert (predicted.class_logits.grad > 0).all()
    assert FocalLoss.score_function == "sigmoid"
    with pytest.raises(AttributeError):
        FocalLoss().alpha = 0.5  # type: ignore[misc]


@pytest.mark.parametrize("kind", ["quality", "varifocal"])
def test_scores_learn_the_iou_of_the_predicted_box(kind: str) -> None:
    """By a loop over every decision."""
    predicted = output(1)
    targets = [target([[0, 0, 10, 9], [1, 10, 20, 20]], [2, 0]), target([], [])]
    truth = torch.zeros(2, 4, 3)
    for anchor, box, label in ((0, 0, 2), (2, 1, 0)):
        found = SSDBoxCoder().decode(predicted.box_deltas[0, anchor], ANCHORS[anchor])
        truth[0, anchor, label] = box_iou(found[None], targets[0].boxes[box][None])
    expected = torch.zeros(())
    for logit, wanted in zip(predicted.class_logits.flatten(), truth.flatten(), strict=True):
        score = logit.sigmoid()
        entropy = -(wanted * score.log() + (1 - wanted) * (1 - score).log())
        if kind == "quality":
            weight = (wanted - score).abs() ** 2
        else:
            weight = wanted if wanted > 0 else 0.75 * score.detach() ** 2
        expected = expected + weight * entropy
    loss = FocalLoss(kind=kind)(predicted, targets)  # type: ignore[arg-type]
    torch.testing.assert_close(loss["class_loss"], expected / 2)
    ours, reference = (
        torch.autograd.grad(x, predicted.class_logits)[0] for x in (loss["class_loss"], expected / 2)
    )
    torch.testing.assert_close(ours, reference)


@pytest.mark.parametrize("kind", ["focal", "quality", "varifocal"])
def test_extreme_logits_have_finite_gradients(kind: str) -> None:
    for size in (1e4, -1e4):
        logits = torch.full((1, 4, 3), size, requires_grad=True)
        deltas = torch.full((1, 4, 4), size, requires_grad=True)
        for targets in ([target([[0, 0, 10, 9]], [2])], [target([], [])]):
            losses = FocalLoss(kind=kind)(DetectionOutput(logits, deltas, ANCHORS), targets)  # type: ignore[arg-type]
            total = losses["class_loss"] + losses["box_loss"]
            for gradient in torch.autograd.grad(total, (logits, deltas)):
                assert torch.isfinite(gradient).all()
            assert torch.isfinite(total)


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="choose from focal, quality, varifocal"):
        FocalLoss(kind="gaussian")  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["quality", "varifocal"])
def test_boxes_learn_nothing_from_the_scores_that_they_are_to_have(kind: str) -> None:
    predicted = output()
    loss = FocalLoss(kind=kind)(predicted, [target([[0, 0, 10, 9]], [2]), target([], [])])  # type: ignore[arg-type]
    loss["class_loss"].backward()
    assert predicted.box_deltas.grad is None or (predicted.box_deltas.grad == 0).all()


def test_quality_counts_the_size_of_an_error_whatever_its_sign() -> None:
    logits, truth = torch.tensor([2.0, -2.0]), torch.tensor([0.1, 0.9])
    losses = FocalLoss(kind="quality", gamma=1.0).class_losses(logits, truth)
    assert losses[0] == pytest.approx(float(losses[1])) and losses[0] > 0
