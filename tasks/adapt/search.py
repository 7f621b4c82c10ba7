"""The rounds of NetAdapt, from a trained network to one that is fast enough."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, NamedTuple

from pocketvision.backbones.width_groups import WidthGroup, adaptable_body, width_groups
from pocketvision.core.errors import InputError
from pocketvision.core.progress import Progress
from pocketvision.models import SingleModel
from pocketvision.tasks.adapt.path import SearchFolder, Stop
from pocketvision.tasks.adapt.proposals import Latency, Proposal, Table, keeps_form, propose
from pocketvision.tasks.adapt.trial import Trials
from pocketvision.tasks.adapt.truncate import truncate

logger = logging.getLogger("pocketvision")
_MS, _US = 1e3, 1e6


@dataclass(frozen=True)
class Pace:
    """How thorough the search is.

    A proposal wins at least ``delta`` of the first latency. All proposals are ranked by their loss without
    training, the ``tried`` best are trained for ``steps`` steps, and the ``at_once`` best of these are taken
    together. The paper's is one at a time, with all tried, for 10,000 steps.
    """

    delta: float = 0.01
    tried: int = 4
    steps: int = 10
    at_once: int = 1


class Judged(NamedTuple):
    """A proposal with its model, its loss, and the loss that it costs for a second won."""

    proposal: Proposal
    model: SingleModel
    loss: float
    cost: float


class Search:
    """Narrows ``model`` to ``target`` seconds; ``build`` makes it with other widths, without weights.

    ``describe`` gives the passport of a model of the path.
    """

    def __init__(
        self, build: Callable[[Table], SingleModel], latency: Latency, target: float, trials: Trials,
        folder: SearchFolder, pace: Pace, describe: Callable[[SingleModel, Table], dict[str, Any]],
    ) -> None:  # fmt: skip
        self.build, self.latency, self.target = build, latency, target
        self.trials, self.folder, self.pace, self.describe = trials, folder, pace, describe

    def run(self, model: SingleModel, widths: Table) -> list[Stop]:
        """Go from ``model``, or from where the folder's path ends, to the target; returns the path.

        Raises:
            InputError: the target can't be reached.
        """
        stops = self.folder.stops()
        if stops:
            model = self.build(stops[-1].widths)
            self.folder.restore(model, len(stops) - 1)
        else:
            stops = [Stop(widths, self.latency(widths), self.trials.loss(model))]
            self.folder.keep(stops, model, self.describe(model, widths))
        to_win = (stops[0].seconds - self.target) * _US
        done = (stops[0].seconds - stops[-1].seconds) * _US
        with Progress("adapting", to_win, "us won", rate_unit="us", done=done) as progress:
            while stops[-1].seconds > self.target:
                model, stop = self.round(model, stops, progress)
                stops = [*stops, stop]
                self.folder.keep(stops, model, self.describe(model, stop.widths))
                won = (stops[-2].seconds - stop.seconds) * _US
                progress.advance(won, note=f"round {len(stops) - 1}, loss {stop.loss:.3f}")
                progress.say(_line(len(stops) - 1, stop))
        return stops

    def round(
        self, model: SingleModel, stops: Sequence[Stop], progress: Progress
    ) -> tuple[SingleModel, Stop]:
        """One network further."""
        last, number = stops[-1], len(stops)
        body = adaptable_body(model.backbone)
        delta = min(self.pace.delta * stops[0].seconds, last.seconds - self.target)
        proposals = propose(body, width_groups(body), last.widths, self.latency, delta)
        if not proposals:
            raise InputError(
                f"The network can't be made faster than {last.seconds * _MS:.2f} ms by narrowing its blocks "
                "(predicted): ask for a higher --latency, or for a smaller image size."
            )
        ranked = self._ranked(model, proposals, progress)
        reference = deepcopy(model)
        self.trials.tune(reference, self.pace.steps, (number, self.pace.tried + 1))
        loss = self.trials.loss(reference)
        judged = [
            self._tried(proposal, narrowed, loss, (number, place), progress)
            for place, (proposal, narrowed) in enumerate(ranked)
        ]
        judged.sort(key=lambda one: one.cost)
        if self.pace.at_once == 1:
            best = judged[0]
            return best.model, self._stop(best.proposal.widths, best.loss, [best.proposal.group])
        return self._together(model, last, judged, number)

    def _ranked(
        self, model: SingleModel, proposals: Sequence[Proposal], progress: Progress
    ) -> list[tuple[Proposal, SingleModel]]:
        """The proposals worth trying, with truncated weights: those that cost the least before training."""
        found, before = [], self.trials.loss(model, 1)
        for place, proposal in enumerate(proposals):
            narrowed = self._narrowed(model, proposal.group, proposal.widths)
            cost = (self.trials.loss(narrowed, 1) - before) / proposal.won
            found.append((cost, place, narrowed))
            progress.advance(0, note=f"ranking {place + 1} of {len(proposals)} proposals")
        found.sort(key=lambda one: one[:2])
        return [(proposals[place], narrowed) for _, place, narrowed in found[: self.pace.tried]]

    def _tried(
        self, proposal: Proposal, model: SingleModel, before: float, place: tuple[int, int],
        progress: Progress,
    ) -> Judged:  # fmt: skip
        """Train a proposal; what it costs is against the wider network, trained as long."""
        self.trials.tune(model, self.pace.steps, place)
        loss = self.trials.loss(model)
        progress.advance(0, note=f"tried {place[1] + 1} of {self.pace.tried}, {proposal.group.name}")
        return Judged(proposal, model, loss, (loss - before) / proposal.won)

    def _together(
        self, model: SingleModel, last: Stop, judged: Sequence[Judged], number: int
    ) -> tuple[SingleModel, Stop]:
        """The best proposals in one network, until it is fast enough."""
        body, widths, groups = adaptable_body(model.backbone), last.widths, list[WidthGroup]()
        for one in judged:
            group = one.proposal.group
            narrowed = group.resized(widths, group.width(one.proposal.widths))
            if len(groups) == self.pace.at_once or (groups and self.latency(widths) <= self.target):
                break
            if keeps_form(body, narrowed):
                model = self._narrowed(model, group, narrowed)
                widths = narrowed
                groups.append(group)
        self.trials.tune(model, self.pace.steps, (number, self.pace.tried))
        return model, self._stop(widths, self.trials.loss(model), groups)

    def _narrowed(self, model: SingleModel, group: WidthGroup, widths: Table) -> SingleModel:
        narrow = self.build(widths)
        truncate(model, narrow, group)
        return narrow

    def _stop(self, widths: Table, loss: float, groups: Sequence[WidthGroup]) -> Stop:
        names = tuple(f"{group.name} to {group.width(widths)}" for group in groups)
        return Stop(widths, self.latency(widths), loss, names)


def _line(number: int, stop: Stop) -> str:
    return (
        f"round {number}: {stop.seconds * _MS:.2f} ms predicted, loss {stop.loss:.4f}; "
        f"{', '.join(stop.narrowed)}"
    )
