"""What a search may choose for every stage: expansion, width, kernel, squeeze-and-excitation, activation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from pocketvision.backbones.blocks import ActivationName, InvertedResidual
from pocketvision.backbones.forms import KERNEL_SIZES, BlockForm, Forms, forms_of
from pocketvision.backbones.mobilenet import MobileNet
from pocketvision.backbones.width_groups import WidthGroup, width_groups
from pocketvision.backbones.widths import WIDTH_STEP, widths_of
from pocketvision.tasks.adapt.proposals import Table, keeps_form

SHARES = (0.5, 0.75, 1.0)
"""Of the width that the source has."""


class StageChoice(NamedTuple):
    """One stage: shares of its expansions and outputs, and the form of its blocks."""

    expansion: float
    out: float
    kernel_size: int
    squeeze: bool
    activation: ActivationName


Candidate = tuple[StageChoice, ...]
"""A network: a choice for every stage."""


class SearchSpace:
    """Networks between a source's widths and half of them, with blocks of any form.

    Blocks of a stage - those with equal outputs, as a row of V2's table - are alike, which MnasNet calls
    factorized (arXiv:1807.11626, sec. 4.1). What has no effect has one option.
    """

    def __init__(self, body: MobileNet) -> None:
        self.body = body
        self.groups = width_groups(body)
        self.widths, self.forms = widths_of(body.architecture), forms_of(body.architecture)
        numbers = [number for number, size in enumerate(body.architecture.stage_sizes) for _ in range(size)]
        self.stage_of = numbers[: len(body.blocks)]
        known: set[ActivationName] = {"hardswish", *(form.activation for form in self.forms)}
        self.activations = sorted(known)
        self.options = [self._options(stage) for stage in range(self.stage_of[-1] + 1)]

    def _options(self, stage: int) -> StageOptions:
        blocks = [number for number, own in enumerate(self.stage_of) if own == stage]
        free = {part for group in self.groups for block, part in group.places if block in blocks}
        form = self.forms[blocks[0]]
        first = self.body.blocks[blocks[0]]
        assert isinstance(first, InvertedResidual)
        is_whole = first.until == "output"
        return StageOptions(
            SHARES if 0 in free else (1.0,),
            SHARES if 1 in free else (1.0,),
            KERNEL_SIZES if is_whole else (form.kernel_size,),
            (False, True) if is_whole else (form.squeeze,),
            self.activations,
        )

    def all_forms(self) -> list[BlockForm]:
        """Every form that a block may have."""
        return [
            BlockForm(kernel_size, squeeze, activation)
            for kernel_size in KERNEL_SIZES
            for squeeze in (False, True)
            for activation in self.activations
        ]

    def decoded(self, candidate: Candidate) -> tuple[Table, tuple[BlockForm, ...]]:
        """The widths and forms of all blocks; those that were not built keep the source's."""
        widths: Table = self.widths
        for group in self.groups:
            block, part = group.places[0]
            choice = candidate[self.stage_of[block]]
            widths = self._narrowed(widths, group, choice.out if part else choice.expansion)
        chosen = [BlockForm(*candidate[stage][2:]) for stage in self.stage_of]
        return widths, (*chosen, *self.forms[len(chosen) :])

    def _narrowed(self, widths: Table, group: WidthGroup, share: float) -> Table:
        width = group.width(self.widths)
        step = max(WIDTH_STEP, round(width * share / WIDTH_STEP) * WIDTH_STEP)
        return widths if share == 1 else group.resized(widths, min(width, step))

    def narrowings(self, group: WidthGroup) -> list[Table]:
        """The source's widths with one group narrowed."""
        found = [self._narrowed(self.widths, group, share) for share in SHARES]
        return [widths for widths in found if widths != self.widths and keeps_form(self.body, widths)]

    def is_sound(self, candidate: Candidate) -> bool:
        """Whether its blocks expand and add where the source's do."""
        return keeps_form(self.body, self.decoded(candidate)[0])

    def draw(self, generator: np.random.Generator) -> Candidate:
        """Any network, all options of a stage equally likely."""
        while True:
            candidate = tuple(
                _chosen(options[int(generator.integers(len(options)))] for options in stage)
                for stage in self.options
            )
            if self.is_sound(candidate):
                return candidate

    def mutated(self, candidate: Candidate, generator: np.random.Generator) -> Candidate:
        """The network with another option in one place, and half of the time in a second one."""
        changed = [list(stage) for stage in candidate]
        places = [
            (stage, part)
            for stage, options in enumerate(self.options)
            for part, known in enumerate(options)
            if len(known) > 1
        ]
        for place in generator.choice(len(places), int(generator.integers(1, 3)), replace=False).tolist():
            stage, part = places[place]
            others = [value for value in self.options[stage][part] if value != changed[stage][part]]
            changed[stage][part] = others[int(generator.integers(len(others)))]
        found = tuple(map(_chosen, changed))
        return found if self.is_sound(found) else self.mutated(candidate, generator)

    def examples(self) -> list[tuple[Table, tuple[BlockForm, ...]]]:
        """The source and two random networks, as widths and forms."""
        drawn = [self.decoded(self.draw(np.random.default_rng(seed))) for seed in (1, 2)]
        return [(self.widths, self.forms), *drawn]

    def largest_forms(self) -> Forms:
        """Of a network that holds the weights of all: 5x5 kernels, squeeze-and-excitation everywhere."""
        return [form._replace(kernel_size=KERNEL_SIZES[-1], squeeze=True) for form in self.forms]


def _chosen(parts: Iterable[Any]) -> StageChoice:
    return StageChoice(*parts)


class StageOptions(NamedTuple):
    """What each part of a :class:`StageChoice` may be."""

    expansions: Sequence[float]
    outs: Sequence[float]
    kernel_sizes: Sequence[int]
    squeezes: Sequence[bool]
    activations: Sequence[ActivationName]
