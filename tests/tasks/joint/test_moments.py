"""Tasks in turn on shared weights: the optimizer remembers each task's gradients by themselves."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer

from pocketvision.tasks.joint.moments import TaskMoments

Maker = Callable[..., Optimizer]
SLOPES = {"large": 1000.0, "small": 0.01}
OPTIMIZERS = [partial(AdamW, lr=0.1), partial(AdamW, lr=0.1, fused=True), partial(SGD, lr=0.1, momentum=0.9)]


def weight() -> nn.Parameter:
    return nn.Parameter(torch.zeros(2, 2))


def teach(shared: nn.Parameter, optimizer: Optimizer, task: str, step: int) -> Tensor:
    """Take a step on a gradient of the task, which lies on its own part; how far the weights have gone."""
    before = shared.detach().clone()
    shared.grad = torch.full_like(shared, SLOPES[task] * (1 + step % 3))
    optimizer.step()
    return shared.detach() - before


@pytest.mark.parametrize("make", OPTIMIZERS)
def test_every_task_moves_the_weights_as_it_would_alone(make: Maker) -> None:
    shared = weight()
    optimizer, moments = make([shared]), TaskMoments({"shared": shared})
    alone: dict[str, Any] = {}
    for task in SLOPES:
        own = weight()
        alone[task] = own, make([own], **({} if make.func is SGD else {"weight_decay": 0.0}))  # type: ignore[attr-defined]
    if make.func is not SGD:  # type: ignore[attr-defined]
        optimizer.param_groups[0]["weight_decay"] = 0.0  # which pulls at where the weights are
    for step, task in enumerate(["large", "small", "small", "large", "small", "large", "large"]):
        moments.give(optimizer, task)
        moved, expected = teach(shared, optimizer, task, step), teach(*alone[task], task, step)
        torch.testing.assert_close(moved, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("apart", "far"), [(True, 1.0), (False, 1e-3)])
def test_a_small_gradient_is_lost_beside_a_large_one_unless_apart(apart: bool, far: float) -> None:
    """Ten steps of a constant gradient, no momentum: each is the rate where nothing larger divides it."""
    shared, total = weight(), 0.0
    optimizer = AdamW([shared], lr=0.1, betas=(0.0, 0.999), weight_decay=0.0)
    moments = TaskMoments({"shared": shared})
    for step in range(20):
        task = ("large", "small")[step % 2]
        if apart:
            moments.give(optimizer, task)
        moved = teach(shared, optimizer, task, 0)
        total += float(moved[0, 0]) if task == "small" else 0.0
    assert total == pytest.approx(-far, abs=0.05 * far) if apart else -far < total < 0


@pytest.mark.parametrize("make", OPTIMIZERS)
def test_what_is_saved_goes_on_the_same(make: Maker) -> None:
    shared = weight()
    optimizer, moments = make([shared]), TaskMoments({"shared": shared})
    for step, task in enumerate(["large", "small", "large"]):
        moments.give(optimizer, task)
        teach(shared, optimizer, task, step)
    again = nn.Parameter(shared.detach().clone())
    other, its_moments = make([again]), TaskMoments({"shared": again})
    its_moments.load_state_dict(copy.deepcopy(moments.state_dict()))
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for step, task in enumerate(["large", "small", "small", "large"]):
        for weights, its_optimizer, its in ((shared, optimizer, moments), (again, other, its_moments)):
            its.give(its_optimizer, task)
            teach(weights, its_optimizer, task, step)
        assert torch.equal(shared, again)
