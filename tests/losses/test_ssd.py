"""SSD's loss against torchvision's, and what images without boxes teach."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.detection._utils import BoxCoder, SSDMatcher
from torchvision.models.detection.ssd import SSD
from torchvision.ops import box_iou

from pocketvision.core.structures import BoxTarget, DetectionOutput
from pocketvision.losses import IoUMatcher, SSDLoss
from pocketvision.losses.ssd import pad_targets

NUM_CLASSES, NUM_ANCHORS = 6, 400


def random_boxes(count: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=generator) * 100
    return torch.cat((corner, corner + 5 + torch.rand(count, 2, generator=generator) * 60), dim=-1)


def targets(*counts: int) -> list[BoxTarget]:
    return [
        BoxTarget(random_boxes(n, 10 + i), torch.arange(n) * 5 % NUM_CLASSES, i, (160, 160))
        for i, n in enumerate(counts)
    ]


def random_output(num_images: int, num_anchors: int = NUM_ANCHORS, seed: int = 0) -> DetectionOutput:
    generator = torch.Generator().manual_seed(seed)
    return DetectionOutput(
        (torch.randn(num_images, num_anchors, NUM_CLASSES + 1, generator=generator) * 2).requires_grad_(),
        torch.randn(num_images, num_anchors, 4, generator=generator).requires_grad_(),
        random_boxes(num_anchors, seed),
    )


def torchvision_loss(output: DetectionOutput, truth: list[BoxTarget]) -> dict[str, Tensor]:
    """Their loss; their background is class 0."""
    ssd = SimpleNamespace(box_coder=BoxCoder((10.0, 10.0, 5.0, 5.0)), neg_to_pos_ratio=3.0)
    matches = [
        SSDMatcher(0.5)(box_iou(t.boxes, output.anchors))
        if len(t.boxes)
        else torch.full((len(output.anchors),), -1)
        for t in truth
    ]
    return SSD.compute_loss(  # type: ignore[arg-type]
        ssd,
        [{"boxes": t.boxes, "labels": t.labels + 1} for t in truth],
        {"bbox_regression": output.box_deltas, "cls_logits": output.class_logits.roll(1, dims=-1)},
        [output.anchors] * len(truth),
        matches,
    )


@pytest.mark.parametrize("counts", [(1, 5, 20), (3, 0, 9), (0, 0, 0), (12,)])
def test_equals_torchvision_and_its_gradients(counts: tuple[int, ...]) -> None:
    output, truth = random_output(len(counts)), targets(*counts)
    ours = SSDLoss(min_negatives_per_image=0)(output, truth)
    theirs = torchvision_loss(output, truth)
    torch.testing.assert_close(ours["class_loss"], theirs["classification"])
    torch.testing.assert_close(ours["box_loss"], theirs["bbox_regression"])
    inputs = (output.class_logits, output.box_deltas)
    our_gradients = torch.autograd.grad(sum(ours.values()), inputs)
    their_gradients = torch.autograd.grad(sum(theirs.values()), inputs)
    for first, second in zip(our_gradients, their_gradients, strict=True):
        torch.testing.assert_close(first, second)


@pytest.mark.parametrize(("ratio", "least"), [(3.0, 0), (3.0, 30), (0.5, 7), (1000.0, 0)])
def test_mining_takes_the_hardest(ratio: float, least: int) -> None:
    logits = random_output(4).class_logits.detach()
    is_positive = torch.rand(4, NUM_ANCHORS, generator=torch.Generator().manual_seed(1)) < 0.05
    is_positive[2] = False
    chosen = SSDLoss(negative_ratio=ratio, min_negatives_per_image=least).mine(logits, is_positive)
    for image in range(4):
        hardness = F.cross_entropy(
            logits[image], torch.full((NUM_ANCHORS,), NUM_CLASSES), reduction="none"
        ).tolist()
        negatives = [a for a in range(NUM_ANCHORS) if not is_positive[image, a]]
        count = max(least, int(ratio * (NUM_ANCHORS - len(negatives))))
        hardest = sorted(negatives, key=lambda a: -hardness[a])[:count]
        assert chosen[image].nonzero().flatten().tolist() == sorted(hardest)


def background_loss(logits: Tensor, count: int) -> Tensor:
    """Mean cross-entropy of one image's ``count`` hardest anchors."""
    background = torch.full((len(logits),), logits.shape[-1] - 1)
    return F.cross_entropy(logits, background, reduction="none").sort(descending=True).values[:count].mean()


@pytest.mark.parametrize("num_images", [1, 3])
@pytest.mark.parametrize("least", [1, 30])
def test_images_without_boxes_alone(num_images: int, least: int) -> None:
    output = random_output(num_images)
    losses = SSDLoss(min_negatives_per_image=least)(output, targets(*[0] * num_images))
    expected = sum(background_loss(logits, least) for logits in output.class_logits) / num_images
    torch.testing.assert_close(losses["class_loss"], expected)
    assert losses["box_loss"] == 0
    sum(losses.values()).backward()
    assert output.class_logits.grad.count_nonzero(dim=-1).bool().sum() == num_images * least
    assert output.box_deltas.grad is not None and not output.box_deltas.grad.any()


def test_images_without_boxes_beside_others() -> None:
    output, truth = random_output(4), targets(6, 0, 2, 0)
    loss = SSDLoss(min_negatives_per_image=30)
    filled = DetectionOutput(output.class_logits[::2], output.box_deltas[::2], output.anchors)
    with_boxes = loss(filled, truth[::2])
    without = sum(background_loss(output.class_logits[i], 30) for i in (1, 3)) / 4
    together = loss(output, truth)
    torch.testing.assert_close(together["class_loss"], with_boxes["class_loss"] + without)
    torch.testing.assert_close(together["box_loss"], with_boxes["box_loss"])


def test_background_images_teach() -> None:
    """100 steps on images without boxes lower the highest foreground scores."""
    torch.manual_seed(0)
    inputs = torch.randn(2, NUM_ANCHORS, 8)
    model, none = nn.Linear(8, NUM_CLASSES + 1), targets(0, 0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)

    def highest() -> float:
        with torch.no_grad():
            return model(inputs).softmax(-1)[..., :-1].flatten(1).topk(20).values.mean().item()

    def step() -> None:
        output = DetectionOutput(model(inputs), torch.zeros(2, NUM_ANCHORS, 4), random_boxes(NUM_ANCHORS, 0))
        optimizer.zero_grad()
        sum(SSDLoss()(output, none).values()).backward()
        optimizer.step()

    before = highest()
    for _ in range(100):
        step()
    assert highest() < before / 2


@pytest.mark.parametrize("counts", [(0, 0), (2, 0), (3, 3)])
def test_fewer_anchors_than_wanted_negatives(counts: tuple[int, ...]) -> None:
    output, truth = random_output(2, num_anchors=8), targets(*counts)
    losses = SSDLoss(negative_ratio=50, min_negatives_per_image=500)(output, truth)
    sum(losses.values()).backward()
    assert output.class_logits.grad.isfinite().all()
    assert output.class_logits.grad.any(dim=-1).all(), "every anchor is positive or negative"


def test_perfect_boxes_and_sure_classes_cost_nothing() -> None:
    truth = targets(4)[0]
    boxes = truth.boxes + torch.arange(4)[:, None] * 500
    logits = F.one_hot(truth.labels, NUM_CLASSES + 1)[None] * 100.0
    losses = SSDLoss()(DetectionOutput(logits, torch.zeros(1, 4, 4), boxes), [truth._replace(boxes=boxes)])
    torch.testing.assert_close(sum(losses.values()), torch.tensor(0.0), rtol=0, atol=1e-5)


def test_box_weight_and_half_precision() -> None:
    output, truth = random_output(3), targets(2, 0, 4)
    plain, weighted = SSDLoss()(output, truth), SSDLoss(box_weight=2.5)(output, truth)
    torch.testing.assert_close(weighted["box_loss"], plain["box_loss"] * 2.5)
    assert torch.equal(weighted["class_loss"], plain["class_loss"])
    half = SSDLoss()(DetectionOutput(*(x.bfloat16() for x in output[:2]), output.anchors), truth)
    for name, value in half.items():
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, plain[name], rtol=0.02, atol=0)


def test_label_smoothing_is_pytorchs() -> None:
    output, truth = random_output(2), targets(4, 7)
    plain, smooth = (SSDLoss(negative_ratio=1e6, label_smoothing=s)(output, truth) for s in (0.0, 0.1))
    logits = output.class_logits
    uniform = -logits.log_softmax(dim=-1).mean()  # every anchor learns at this ratio
    num_positives = (IoUMatcher()(*pad_targets(truth)[::2], output.anchors) >= 0).sum()
    expected = 0.9 * plain["class_loss"] + 0.1 * uniform * NUM_ANCHORS * 2 / num_positives
    torch.testing.assert_close(smooth["class_loss"], expected)
    with pytest.raises(ValueError, match="label_smoothing"):
        SSDLoss(label_smoothing=1.0)


def test_extreme_logits_have_finite_gradients() -> None:
    for counts in ((3, 0), (0, 0)):
        for size in (1e4, -1e4):
            output, truth = random_output(2), targets(*counts)
            output = output._replace(class_logits=(output.class_logits.detach() * size).requires_grad_())
            losses = SSDLoss()(output, truth)
            for gradient in torch.autograd.grad(sum(losses.values()), output[:2], allow_unused=True):  # type: ignore[arg-type]
                assert gradient is None or torch.isfinite(gradient).all()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_class_weights_weigh_what_learns_a_class(smoothing: float) -> None:
    output, truth = random_output(2), targets(4, 7)
    weights = (0.5, 3.0, 1.0, 2.0, 0.1, 1.5)
    plain = SSDLoss(label_smoothing=smoothing)
    found = SSDLoss(label_smoothing=smoothing, class_weights=weights)(output, truth)
    boxes, labels, is_box = pad_targets(truth)
    matches = plain.matcher(boxes, is_box, output.anchors)
    negatives = plain.mine(output.class_logits, matches >= 0)
    total = torch.zeros(())
    for image in range(2):
        for anchor in range(NUM_ANCHORS):
            match = int(matches[image, anchor])
            if match >= 0 or negatives[image, anchor]:
                label = int(labels[image, match]) if match >= 0 else NUM_CLASSES
                log = output.class_logits[image, anchor].log_softmax(-1)
                loss = -(1 - smoothing) * log[label] - smoothing * log.mean()
                total = total + loss * (*weights, 1.0)[label]
    torch.testing.assert_close(found["class_loss"], total / (matches >= 0).sum())
    unweighed = plain(output, truth)
    assert torch.equal(found["box_loss"], unweighed["box_loss"])
    assert not torch.equal(found["class_loss"], unweighed["class_loss"])
    ones = SSDLoss(label_smoothing=smoothing, class_weights=(1.0,) * NUM_CLASSES)
    torch.testing.assert_close(ones(output, truth), unweighed)
