"""A batch in parts gives the gradients of the whole, whatever its pictures hold."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD

from pocketvision.backbones import mobilenet_v3_small
from pocketvision.core.distributed import BatchParts
from pocketvision.core.errors import InputError
from pocketvision.core.layers import freeze_norms
from pocketvision.core.resize import Resize
from pocketvision.core.structures import (
    BoxTarget,
    ClassificationSamples,
    ClassTarget,
    DetectionSamples,
    MaskTarget,
    SegmentationSamples,
)
from pocketvision.heads import ClassifierHead, GFLHead, LRASPPHead, SSDLiteHead
from pocketvision.losses import (
    ClassificationCrossEntropy,
    FocalLoss,
    GFLLoss,
    SegmentationCrossEntropy,
    SSDLoss,
)
from pocketvision.models import Classifier, Detector, Segmenter, SSDPostprocess
from pocketvision.tasks import ClassificationTask, DetectionTask, SegmentationTask
from pocketvision.tasks.accumulation import losses_in_parts, num_accumulated, num_parts, split_batch
from pocketvision.tasks.base import VisionTask

SIZE = (64, 64)
OPTIONS: dict[str, Any] = {"optimizer": partial(SGD, lr=0.1), "reference_batch": 8}
NUM_BOXES = (0, 1, 40, 0, 3, 1, 0)
"""An uneven batch, with crowded pictures and empty ones."""


def images() -> Tensor:
    return torch.randint(0, 256, (len(NUM_BOXES), 3, *SIZE), dtype=torch.uint8)


def detection(loss: Any, head: type[nn.Module] = SSDLiteHead, **more: Any) -> tuple[VisionTask, Any]:
    backbone = mobilenet_v3_small(out_features=("c3_expand", "last"))
    model = Detector(
        backbone, head, ("a", "b"), Resize(SIZE), score_function=loss.score_function,
        postprocess=SSDPostprocess(coder=loss.coder),
    )  # fmt: skip
    targets = []
    for number, count in enumerate(NUM_BOXES):
        corners = 40 * torch.rand(count, 2)
        boxes = torch.cat((corners, corners + 4 + 20 * torch.rand(count, 2)), dim=1)
        targets.append(BoxTarget(boxes, torch.randint(0, 2, (count,)), number, SIZE))
    return DetectionTask(model, loss, **OPTIONS, **more), DetectionSamples(images(), targets)


def small_guide(**sizes: Any) -> GFLHead:
    return GFLHead(**sizes, reg_max=3, depth=0)


def few(case: tuple[VisionTask, Any]) -> tuple[VisionTask, Any]:
    """One box: the sum of qualities is below the least that the loss divides by."""
    task, samples = case
    counts = [int(number == 2) for number in range(len(NUM_BOXES))]
    targets = [
        target._replace(boxes=target.boxes[:count], labels=target.labels[:count])
        for target, count in zip(samples.targets, counts, strict=True)
    ]
    return task, samples._replace(targets=targets)


def segmentation(loss: Any) -> tuple[VisionTask, Any]:
    backbone = mobilenet_v3_small(out_features=("c3_depthwise", "last"), output_stride=16)
    head = partial(LRASPPHead, low=("c3_depthwise",), high="last")
    model = Segmenter(backbone, head, ("a", "b", "c"), Resize(SIZE))
    masks = torch.randint(0, 3, (len(NUM_BOXES), *SIZE), dtype=torch.uint8)
    for mask, count in zip(masks, NUM_BOXES, strict=True):
        mask[count:] = 255  # nothing, a row, or much
    targets = [MaskTarget(mask, number, SIZE) for number, mask in enumerate(masks)]
    return SegmentationTask(model, loss, **OPTIONS), SegmentationSamples(images(), targets)


def classification() -> tuple[VisionTask, Any]:
    model = Classifier(
        mobilenet_v3_small(out_features=("last",)), ClassifierHead, ("a", "b", "c"), Resize(SIZE)
    )
    targets = [ClassTarget(number % 3, number, SIZE) for number in range(len(NUM_BOXES))]
    loss = ClassificationCrossEntropy(label_smoothing=0.1)
    return ClassificationTask(model, loss, **OPTIONS), ClassificationSamples(images(), targets)


CASES = {
    "ssd": lambda: detection(SSDLoss()),
    "focal": lambda: detection(FocalLoss(kind="quality", box_loss="giou")),
    "guided": lambda: detection(GFLLoss(), GFLHead, guide=small_guide),
    "dense": lambda: detection(GFLLoss(), GFLHead),
    "few dense": lambda: few(detection(GFLLoss(), GFLHead)),
    "masks": lambda: segmentation(SegmentationCrossEntropy((0.5, 1.0, 2.0), dice_weight=1, lovasz_weight=1)),
    "hardest of equal weight": lambda: segmentation(SegmentationCrossEntropy(hard_share=0.3)),
    "hard": lambda: segmentation(SegmentationCrossEntropy((0.5, 1.0, 2.0), hard_share=0.3)),
    "classes": classification,
}
NOT_SAID = ("hard", "dense", "few dense", "guided")
"""Whose losses count what outputs say."""


def gradients(task: VisionTask, samples: Any, size: int) -> tuple[dict[str, Tensor], list[Tensor]]:
    task = copy.deepcopy(task)
    losses, last = losses_in_parts(task, split_batch(samples, size), Tensor.backward)
    last.backward()
    losses = {name: loss.detach() for name, loss in losses.items()}
    return losses, [p.grad for p in task.parameters() if p.grad is not None]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("size", [1, 2, 5])
def test_parts_train_what_the_whole_batch_does(case: str, size: int) -> None:
    torch.manual_seed(0)
    task, samples = CASES[case]()
    freeze_norms(task.model)
    for module in task.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    task.train()
    whole_losses, whole = gradients(task, samples, len(NUM_BOXES))
    losses, found = gradients(task, samples, size)
    assert losses.keys() == whole_losses.keys()
    for name, value in whole_losses.items():
        assert float(losses[name]) == pytest.approx(float(value), rel=1e-6)
    assert len(found) == len(whole) > 50
    error = sum(float((a - b).square().sum()) for a, b in zip(found, whole, strict=True))
    assert error**0.5 < 1e-6 * sum(float(b.square().sum()) for b in whole) ** 0.5


@pytest.mark.parametrize("case", CASES)
def test_what_the_truth_says_is_counted_without_a_look_at_the_images(
    case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, samples = CASES[case]()
    seen, original = [], task.outputs
    computed, losses_of = [], task.losses_of

    def outputs(images: Tensor) -> Any:
        seen.append(len(images))
        return original(images)

    def losses(outputs: Any, targets: list[Any]) -> dict[str, Tensor]:
        computed.append(len(targets))
        return losses_of(outputs, targets)

    monkeypatch.setattr(task, "outputs", outputs)
    monkeypatch.setattr(task, "losses_of", losses)
    losses_in_parts(task.train(), split_batch(samples, 3), Tensor.backward)
    assert sorted(seen) == sorted(computed) == sorted([3, 3, 1] * (2 if case in NOT_SAID else 1))


@pytest.mark.parametrize("case", CASES)
def test_what_a_loss_says_is_what_it_asks_for(case: str) -> None:
    """Outputs of other images, fewer than the targets, are enough."""
    task, samples = CASES[case]()
    said = task.counts_of(task.outputs(samples.images[:2]), samples.targets)
    asked = BatchParts()
    with asked.counting():
        task.losses_of(task.outputs(samples.images), samples.targets)
    if case in NOT_SAID:
        assert said is None and len(asked._counts) >= 1
    else:
        assert said is not None and list(map(float, said)) == list(map(float, asked._counts))


def test_a_loss_that_says_too_little_is_refused() -> None:
    task, samples = CASES["ssd"]()
    task.counts_of = lambda outputs, targets: []  # type: ignore[method-assign]
    with pytest.raises(ValueError, match="more than its method counts says"):
        losses_in_parts(task, split_batch(samples, 3), Tensor.backward)


def test_batch_norm_sees_every_part_once() -> None:
    torch.manual_seed(0)
    task, samples = CASES["hard"]()
    norm = next(module for module in task.modules() if isinstance(module, nn.BatchNorm2d))
    losses_in_parts(task.train(), split_batch(samples, 3), Tensor.backward)
    assert int(norm.num_batches_tracked) == 3


def test_images_and_targets_are_split_together() -> None:
    _, samples = classification()
    parts = split_batch(samples, 3)
    assert [len(part.targets) for part in parts] == [3, 3, 1]
    assert torch.equal(torch.cat([part.images for part in parts]), samples.images)
    assert [target for part in parts for target in part.targets] == samples.targets
    assert len(split_batch(samples, 7)) == 1


@pytest.mark.parametrize("number", [0.5, -1, "two"])
def test_a_number_of_parts_that_is_none(number: Any) -> None:
    with pytest.raises(InputError, match=r"accumulate_grad_batches is .* whole number from 1 up"):
        num_accumulated({"accumulate_grad_batches": number})
    assert num_accumulated({}) == 1 and num_accumulated({"accumulate_grad_batches": 3}) == 3


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ({}, 1), ({"accumulate_grad_batches": 3}, 3), ({"devices": 2, "accumulate_grad_batches": 3}, 6),
        ({"devices": [0, 1]}, 2), ({"devices": "4", "num_nodes": 2}, 8), ({"devices": "soon"}, 1),
        ({"devices": "auto", "accelerator": "cpu"}, 1),
    ],
)  # fmt: skip
def test_parts_of_a_step_are_those_of_all_processes(options: dict[str, Any], parts: int) -> None:
    assert num_parts(options) == parts
