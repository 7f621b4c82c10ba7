"""The guide: what it gives, that all maps share its convolutions, and when the features learn from it."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import SGD

from pocketvision.backbones import WithPAN, mobilenet_v3_small
from pocketvision.core.anchors import CellAnchors
from pocketvision.core.distances import DistanceBoxCoder
from pocketvision.core.resize import Resize
from pocketvision.core.structures import BoxTarget, DistributionOutput, FeatureInfo
from pocketvision.heads import GFLHead
from pocketvision.heads.assign_guide import AssignGuide
from pocketvision.losses import GFLLoss, SSDLoss
from pocketvision.models import Detector, SSDPostprocess
from pocketvision.tasks import DetectionTask
from pocketvision.tasks.detection import Guided


def task(**options: Any) -> DetectionTask:
    torch.manual_seed(0)
    backbone = WithPAN(mobilenet_v3_small(width_mult=0.35, out_features=("c1", "c2")), channels=8)
    model = Detector(
        backbone, partial(GFLHead, depth=1), ("a", "b"), Resize((32, 32)), CellAnchors(7.0),
        SSDPostprocess(coder=DistanceBoxCoder()), "sigmoid",
    )  # fmt: skip
    return DetectionTask(model, GFLLoss(), optimizer=partial(SGD, lr=0.1), reference_batch=2, **options)


def test_it_gives_what_a_dense_head_gives() -> None:
    info = {"p3": FeatureInfo(8, 8), "p4": FeatureInfo(8, 16)}
    guide = AssignGuide(info, [1, 1], 3, depth=2)
    maps = {"p3": torch.rand(2, 8, 4, 4), "p4": torch.rand(2, 8, 2, 2)}
    assert [tuple(x.shape) for x in guide(maps)] == [(2, 20, 3), (2, 20, 4), (2, 20, 4, 8)]
    assert sum(isinstance(layer, nn.Conv2d) for layer in guide.shared) == 2
    with pytest.raises(ValueError, match=r"maps of one width, not of \[8, 12\]"):
        AssignGuide({**info, "p4": FeatureInfo(12, 16)}, [1, 1], 3)


@pytest.mark.parametrize("detach_epoch", [0, 1])
def test_the_features_learn_from_it_for_some_epochs(detach_epoch: int) -> None:
    guided = task(guide=AssignGuide, guide_detach_epoch=detach_epoch)
    images = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    outputs = guided.outputs(images)
    assert isinstance(outputs, Guided)
    outputs.guide.class_logits.sum().backward()
    learns = [p.grad is not None for p in guided.model.backbone.parameters()]  # type: ignore[union-attr]
    assert any(learns) == (detach_epoch > 0)
    truth = BoxTarget(torch.tensor([[2.0, 2, 20, 24]]), torch.tensor([1]), 0, (32, 32))
    losses = guided.losses_of(outputs, [truth, truth])
    assert {"class_loss", "distribution_loss", "guide_class_loss", "guide_distribution_loss"} <= losses.keys()


def test_the_model_knows_nothing_of_it() -> None:
    plain, guided = task(), task(guide=AssignGuide)
    assert plain.model.state_dict().keys() == guided.model.state_dict().keys()
    count = {name: sum(len(group["params"]) for group in it.parameter_groups())
             for name, it in (("plain", plain), ("guided", guided))}  # fmt: skip
    assert count["guided"] - count["plain"] == len(list(guided.guide.parameters()))  # type: ignore[union-attr]


def test_a_loss_without_a_guide() -> None:
    detector = Detector(mobilenet_v3_small(out_features=("c4", "last")), GFLHead, ("a",), Resize((32, 32)))
    with pytest.raises(ValueError, match="a SSDLoss takes no guide"):
        DetectionTask(detector, SSDLoss(), partial(SGD, lr=0.1), 2, guide=AssignGuide)


def test_the_loss_gets_the_distributions_and_nobody_else() -> None:
    plain = task().train()
    images = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    _, deltas, anchors = plain.model(images)
    found = plain.outputs(images)
    assert isinstance(found, DistributionOutput) and found.box_distributions.shape == (*deltas.shape, 8)
    torch.testing.assert_close(found.box_deltas, deltas)
    assert torch.equal(found.anchors, anchors)
