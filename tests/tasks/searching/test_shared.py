"""Shared weights: each network has its part of those of the largest, which begins as the source."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from pocketvision.backbones.forms import Forms
from pocketvision.backbones.width_groups import adaptable_body
from pocketvision.backbones.widths import Widths
from pocketvision.configs import ssdlite_v2_coco
from pocketvision.tasks.adapt.truncate import truncate
from pocketvision.tasks.searching import shared as shared_file
from pocketvision.tasks.searching.shared import SharedWeights, teach
from pocketvision.tasks.searching.space import Candidate, SearchSpace, StageChoice

pytestmark = pytest.mark.slow

BUILD = partial(ssdlite_v2_coco.config.model, ("a", "b"), image_size=(64, 64), width_mult=0.35, weights=None)


def build(widths: Widths | None = None, forms: Forms | None = None) -> Any:
    return BUILD(widths=widths, forms=forms)


@pytest.fixture(scope="module")
def begun(as_trained: Callable[[nn.Module], nn.Module]) -> tuple[Any, SharedWeights]:
    """A source, and what shares its weights: made once, as that takes seconds."""
    torch.manual_seed(0)
    source: Any = as_trained(build())
    return source, SharedWeights(source, SearchSpace(adaptable_body(source.backbone)), build)


@pytest.fixture
def source(begun: tuple[Any, SharedWeights]) -> Any:
    return deepcopy(begun[0])


@pytest.fixture
def shared(begun: tuple[Any, SharedWeights]) -> SharedWeights:
    return deepcopy(begun[1])


def plain(space: SearchSpace) -> Candidate:
    return tuple(StageChoice(1.0, 1.0, 3, False, "relu6") for _ in space.options)


def built(space: SearchSpace, candidate: Candidate) -> Any:
    return build(*space.decoded(candidate))


@torch.no_grad()
def test_the_sources_own_form_has_the_sources_weights(shared: SharedWeights, source: Any) -> None:
    own = shared.give(built(shared.space, plain(shared.space)))
    for name, value in source.state_dict().items():
        assert torch.equal(own.state_dict()[name], value), name


@torch.no_grad()
def test_larger_kernels_and_gates_begin_without_effect(shared: SharedWeights, source: Any) -> None:
    """With norms by their own statistics, as in training: a gate of 1/2 for all is taken out."""
    images = torch.randint(0, 256, (8, 3, 64, 64), dtype=torch.uint8)
    whole = next(iter(source.train().features(images).values()))
    larger = next(iter(shared.model.train().features(images).values()))
    assert (whole - larger).abs().mean() < 0.02 * whole.abs().mean()


def test_a_narrower_network_has_what_adapt_would_truncate(shared: SharedWeights, source: Any) -> None:
    space = shared.space
    forms = space.decoded(plain(space))[1]
    for group in space.groups[1::4]:
        for widths in space.narrowings(group):
            ours, theirs = shared.give(build(widths, forms)), build(widths, forms)
            truncate(source, theirs, group)
            for name, value in theirs.state_dict().items():
                assert torch.equal(ours.state_dict()[name], value), name


def test_gradients_come_to_the_part_that_was_given(shared: SharedWeights) -> None:
    space = shared.space
    candidate = tuple(StageChoice(0.5, 1.0, 3, False, "hardswish") for _ in space.options)
    model = shared.give(built(space, candidate))
    for number, parameter in enumerate(model.parameters()):
        parameter.grad = torch.full_like(parameter, number + 1.0)
    shared.take_gradients(model)
    sums = {name: float(p.grad.sum()) for name, p in shared.model.named_parameters()}
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and sums.pop(name) == pytest.approx(float(parameter.grad.sum()))
    assert sums and not any(sums.values()) and all(".squeeze." in name for name in sums)
    kernel: Any = shared.model.get_parameter("backbone.backbone.blocks.3.depthwise.conv.weight")
    assert kernel.grad[:, :, 0].abs().sum() == 0 < kernel.grad[:, :, 2].abs().sum()


class StubTrials:
    """In place of real trainings: each step moves every weight that the network has."""

    class experiment:  # noqa: N801 - as the attribute is called
        seed = 0

    def task(self, model: Any) -> Any:
        return model

    def optimizer(self, task: Any) -> torch.optim.Optimizer:
        return torch.optim.SGD(task.parameters(), lr=0.01, momentum=0.9)

    def training_loss(self, task: Any, place: tuple[int, ...], number: int) -> torch.Tensor:
        return torch.stack([p.square().sum() for p in task.parameters()]).sum()


def test_teaching_goes_on_after_a_kill_to_the_same_weights(
    shared: SharedWeights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_file, "ROUND", 2)
    trials: Any = StubTrials()

    def run(folder: Path, limit: int = 99) -> None:
        folder.mkdir(exist_ok=True)
        steps = 0
        weights = deepcopy(shared)

        def counted(candidate: Candidate) -> Any:
            nonlocal steps
            steps += 1
            if steps > limit:
                raise KeyboardInterrupt
            return built(weights.space, candidate)

        teach(weights, counted, trials, 5, folder)

    run(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", limit=3)
    assert [file.name for file in (tmp_path / "cut").iterdir()] == ["shared_000002.safetensors"]
    run(tmp_path / "cut")
    (ours,), (theirs,) = (list((tmp_path / name).iterdir()) for name in ("cut", "whole"))
    assert ours.name == theirs.name == "shared_000005.safetensors"
    assert ours.read_bytes() == theirs.read_bytes()
