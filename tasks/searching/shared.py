"""Weights that all networks of a search space share: each takes its part of those of the largest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from pocketvision.backbones.forms import KERNEL_SIZES, Forms
from pocketvision.backbones.width_groups import adaptable_body
from pocketvision.core.progress import Progress
from pocketvision.core.weights import load_state_dict, read_state_dict, save_weights
from pocketvision.models import SingleModel
from pocketvision.tasks.adapt.proposals import Table
from pocketvision.tasks.adapt.trial import Trials
from pocketvision.tasks.adapt.truncate import filter_norms
from pocketvision.tasks.searching.space import Candidate, SearchSpace

ROUND = 20
"""Steps after which shared weights are kept; each round has an optimizer of its own."""
_PLACE = 1 << 30
"""Of random networks that teach: apart from those that are scored."""

CandidateBuild = Callable[[Candidate], SingleModel]


class SharedWeights:
    """The largest network, and which of its channels a narrower one takes: those with the largest norms.

    3x3 kernels are the middle of 5x5 ones. Where the source has 3x3 or no squeeze-and-excitation, the rest
    of a kernel begins as 0 and a gate as the same number for all channels, which a norm takes out again.
    """

    def __init__(
        self, source: SingleModel, space: SearchSpace, build: Callable[[Table, Forms], SingleModel]
    ) -> None:
        self.space, self.forms = space, space.largest_forms()
        self.model = build(space.widths, self.forms)
        _fill(self.model, source)
        self.orders: dict[tuple[str, int], Tensor] = {}
        body = adaptable_body(source.backbone)
        for group in space.groups:
            order = _descending(filter_norms(body, group))
            for widths in space.narrowings(group):
                with torch.device("meta"):  # shapes are all that is asked for
                    narrow = build(widths, self.forms)
                self._note(narrow.state_dict(), order)

    def _note(self, narrow: Mapping[str, Tensor], order: Tensor) -> None:
        """Remember the order of channels wherever a network with one narrower group has fewer.

        A width that follows from the group's, as that of squeeze-and-excitation, goes by its own norms.
        """
        state = self.model.state_dict()
        for name, value in narrow.items():
            for dim, (old, new) in enumerate(zip(state[name].shape, value.shape, strict=True)):
                if old != new:
                    own = order if old == len(order) else _descending(_inner_norms(state, name, old))
                    self.orders[name, dim] = own

    def part(self, name: str, shape: torch.Size) -> tuple[Tensor, ...]:
        """Indices, one for each dimension, of what a network with ``shape`` takes of a tensor."""
        indices = []
        whole = self.model.state_dict()[name].shape
        for dim, (old, new) in enumerate(zip(whole, shape, strict=True)):
            if old == new:
                index = torch.arange(new)
            elif dim >= 2:
                index = torch.arange(new) + (old - new) // 2
            else:
                index = self.orders[name, dim][:new].sort().values
            indices.append(index.view([-1 if place == dim else 1 for place in range(len(shape))]))
        return tuple(indices)

    @torch.no_grad()
    def give(self, model: SingleModel) -> SingleModel:
        """Fill a network with its part."""
        state = self.model.state_dict()
        for name, value in model.state_dict().items():
            value.copy_(state[name][self.part(name, value.shape)] if value.ndim else state[name])
        return model

    @torch.no_grad()
    def take_gradients(self, model: SingleModel) -> None:
        """Set the gradients to those of a network: 0 where it has no part."""
        given = dict(model.named_parameters())
        for name, parameter in self.model.named_parameters():
            parameter.grad = torch.zeros_like(parameter)
            gradient = given[name].grad if name in given else None
            if gradient is not None:
                parameter.grad[self.part(name, gradient.shape)] = gradient


def _descending(norms: Tensor) -> Tensor:
    return torch.argsort(norms, descending=True, stable=True)


def _inner_norms(state: Mapping[str, Tensor], name: str, size: int) -> Tensor:
    """Norms of the filters of the layer, beside that of ``name``, that makes so many channels."""
    owner = f"{name.rsplit('.', 2)[0]}."
    weights = [value for key, value in state.items() if key.startswith(owner) and value.ndim > 1]
    norms: Tensor = next(value for value in weights if len(value) == size).flatten(1).norm(dim=1)
    return norms


@torch.no_grad()
def _fill(largest: SingleModel, source: SingleModel) -> None:
    """Let the largest network begin as the source."""
    state = source.state_dict()
    for name, value in largest.state_dict().items():
        if name not in state:
            value.zero_() if ".squeeze.expand" in name else None
        elif state[name].shape == value.shape:
            value.copy_(state[name])
        else:
            margin = (KERNEL_SIZES[1] - KERNEL_SIZES[0]) // 2
            value.copy_(nn.functional.pad(state[name], [margin] * 4))


def teach(shared: SharedWeights, build: CandidateBuild, trials: Trials, num_steps: int, folder: Path) -> None:
    """Train shared weights, a random network each step, or go on after the last round in ``folder``."""
    files = sorted(folder.glob("shared_*.safetensors"))
    done = int(files[-1].stem.rpartition("_")[2]) if files else 0
    if files:
        load_state_dict(shared.model, read_state_dict(files[-1]), str(files[-1]))
    with Progress("teaching shared weights", num_steps, "steps", done=done) as progress:
        for start in range(done, num_steps, ROUND):
            end = min(start + ROUND, num_steps)
            losses = _round(shared, build, trials, range(start, end), progress)
            save_weights(folder / f"shared_{end:06}.safetensors", shared.model, {})
            for file in files:
                file.unlink(missing_ok=True)
            files = [folder / f"shared_{end:06}.safetensors"]
            progress.advance(0, note=f"loss {np.mean(losses):.3f}")


def _round(
    shared: SharedWeights, build: CandidateBuild, trials: Trials, steps: range, progress: Progress
) -> list[float]:
    optimizer = trials.optimizer(trials.task(shared.model))
    losses = []
    for step in steps:
        generator = np.random.default_rng((trials.experiment.seed, _PLACE, step))
        model = shared.give(build(shared.space.draw(generator)))
        loss = trials.training_loss(trials.task(model), (_PLACE, step), step)
        losses.append(loss.item())
        progress.advance()
        if np.isfinite(losses[-1]):
            loss.backward()  # type: ignore[no-untyped-call]
            shared.take_gradients(model)
            optimizer.step()
    return losses
