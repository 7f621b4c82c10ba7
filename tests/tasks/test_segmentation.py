"""The losses of a segmentation step."""

from __future__ import annotations

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch.optim import SGD

from pocketvision.backbones import mobilenet_v3_small
from pocketvision.core.config import parameters
from pocketvision.core.resize import Resize
from pocketvision.core.structures import MaskTarget, SegmentationSamples
from pocketvision.heads import FCNHead, LRASPPHead
from pocketvision.losses import SegmentationCrossEntropy
from pocketvision.models import Segmenter
from pocketvision.tasks import SegmentationTask
from pocketvision.tasks.accumulation import losses_in_parts
from pocketvision.tasks.base import VisionTask


def task(auxiliary: bool, **options: float) -> SegmentationTask:
    torch.manual_seed(0)
    backbone = mobilenet_v3_small(
        width_mult=0.35, output_stride=16, out_features=("c3_depthwise", "c4", "last")
    )
    head = partial(FCNHead, feature="c4", dropout=0.0) if auxiliary else None
    model = Segmenter(backbone, LRASPPHead, ("a", "b"), Resize((64, 96)), auxiliary_head=head)
    loss, optimizer = SegmentationCrossEntropy(), partial(SGD, lr=0.1)
    return SegmentationTask(model, loss, optimizer, 8, **options)


def samples() -> SegmentationSamples:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (2, 3, 64, 96), dtype=torch.uint8, generator=generator)
    masks = torch.randint(0, 2, (2, 64, 96), dtype=torch.uint8, generator=generator)
    return SegmentationSamples(images, [MaskTarget(mask, i, (64, 96)) for i, mask in enumerate(masks)])


def test_without_an_auxiliary_head_there_is_one_loss() -> None:
    assert list(losses_in_parts(task(auxiliary=False), [samples()], torch.Tensor.backward)[0]) == [
        "cross_entropy"
    ]


@pytest.mark.parametrize("weight", [0.5, 0.2])
def test_the_auxiliary_loss_is_weighed(weight: float) -> None:
    training = task(auxiliary=True, **({} if weight == 0.5 else {"auxiliary_weight": weight})).eval()
    losses = losses_in_parts(training, [samples()], torch.Tensor.backward)[0]
    assert list(losses) == ["cross_entropy", "auxiliary_cross_entropy"]
    outputs = training.model.forward_all(samples().images)
    masks = torch.stack([target.mask for target in samples().targets]).long()
    for loss, logits, factor in zip(losses.values(), outputs.values(), (1.0, weight), strict=True):
        enlarged = F.interpolate(logits, (64, 96), mode="bilinear")
        torch.testing.assert_close(loss, factor * F.cross_entropy(enlarged, masks))
    torch.stack(list(losses.values())).sum().backward()
    for name, parameter in training.model.named_parameters():
        assert parameter.grad is not None, name


def test_every_option_of_a_task_can_be_set() -> None:
    ours, base = parameters(SegmentationTask), parameters(VisionTask)
    assert ours == ours | base
    assert ours["auxiliary_weight"] == 0.5 and task(auxiliary=False, ema_decay=0.9).ema_decay == 0.9
