"""An assigner for the first epochs: what it changes, and when it is through."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.optim import SGD

from pocketvision.backbones import WithPAN, mobilenet_v3_small
from pocketvision.core.anchors import CellAnchors
from pocketvision.core.distances import DistanceBoxCoder
from pocketvision.core.resize import Resize
from pocketvision.core.structures import BoxTarget
from pocketvision.heads import GFLHead
from pocketvision.heads.assign_guide import AssignGuide
from pocketvision.losses import ATSSAssigner, GFLLoss, SSDLoss
from pocketvision.models import Detector, SSDPostprocess
from pocketvision.tasks import DetectionTask

TRUTH = BoxTarget(torch.tensor([[2.0, 2, 20, 24], [14, 10, 30, 30]]), torch.tensor([1, 0]), 0, (32, 32))


def task(loss: Any = GFLLoss(), **options: Any) -> DetectionTask:  # noqa: B008  # a value
    torch.manual_seed(0)
    backbone = WithPAN(mobilenet_v3_small(width_mult=0.35, out_features=("c1", "c2")), channels=8)
    model = Detector(
        backbone, partial(GFLHead, depth=1), ("a", "b"), Resize((32, 32)), CellAnchors(7.0),
        SSDPostprocess(coder=DistanceBoxCoder()), "sigmoid",
    )  # fmt: skip
    return DetectionTask(model, loss, optimizer=partial(SGD, lr=0.1), reference_batch=2, **options)


def losses_in(epoch: int, it: DetectionTask) -> dict[str, Tensor]:
    it.train()._trainer = SimpleNamespace(current_epoch=epoch)  # type: ignore[assignment]
    images = torch.arange(2 * 3 * 32 * 32).reshape(2, 3, 32, 32).to(torch.uint8)
    return it.losses_of(it.outputs(images), [TRUTH, TRUTH])


@pytest.mark.parametrize("guide", [None, AssignGuide])
def test_it_assigns_in_the_first_epochs_and_the_losss_own_after_them(guide: Any) -> None:
    own, first = GFLLoss(), ATSSAssigner()
    both = partial(task, own, first_assigner=first, first_epochs=2, guide=guide)
    for epoch in range(4):
        loss = replace(own, assigner=first) if epoch < 2 else own
        expected = losses_in(epoch, task(loss, guide=guide))
        found = losses_in(epoch, both())
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[name], expected[name]) for name in found)
    assert not losses_in(1, both())["box_loss"].equal(losses_in(2, both())["box_loss"])


def test_one_without_the_other() -> None:
    for options in ({"first_assigner": ATSSAssigner()}, {"first_epochs": 2}):
        with pytest.raises(ValueError, match=r"first_assigner and task\.first_epochs go together"):
            task(**options)


def test_a_loss_that_has_no_assigner() -> None:
    detector = Detector(mobilenet_v3_small(out_features=("c4", "last")), GFLHead, ("a",), Resize((32, 32)))
    with pytest.raises(ValueError, match="a SSDLoss has no assigner"):
        DetectionTask(
            detector, SSDLoss(), partial(SGD, lr=0.1), 2, first_assigner=ATSSAssigner(), first_epochs=1
        )
