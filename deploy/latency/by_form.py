"""The latency of a network by the widths and forms of its blocks, from blocks of every form."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import numpy as np

from pocketvision.backbones.forms import BlockForm, Forms, forms_of
from pocketvision.backbones.width_groups import adaptable_body
from pocketvision.backbones.widths import Widths, widths_of
from pocketvision.deploy.latency.measuring import Make, make_plan
from pocketvision.deploy.latency.table import LatencyModel, look_up, without_constant
from pocketvision.deploy.latency.units import Unit, cut, whole_net
from pocketvision.models import SingleModel

FormBuild = Callable[[Widths, Forms], SingleModel]
"""The model with these widths and forms; its weights do not matter."""

_EXPANSIONS = (0.5, 1.0)
"""Fewer shares than for widths alone: there are as many tables as forms."""


class FormPlan(NamedTuple):
    """The blocks of a model in every form, its other units, and what has to be timed of them.

    ``nets`` are whole networks among it, with their widths, forms and keys.
    """

    blocks: dict[BlockForm, list[Unit]]
    others: list[Unit]
    subnets: dict[str, Make]
    nets: list[tuple[Widths, Forms, str]]


@dataclass(frozen=True)
class FormLatency:
    """Widths and forms -> seconds: each block as in a network of its form alone, the rest, a constant."""

    blocks: Mapping[BlockForm, LatencyModel]
    others: LatencyModel

    def __call__(self, widths: Widths, forms: Forms) -> float:
        num_blocks = len(next(iter(self.blocks.values())).units)
        return self.others(widths) + sum(
            self.blocks[BlockForm(*forms[number])].of_unit(number, widths) for number in range(num_blocks)
        )


def plan_forms(
    model: SingleModel, build: FormBuild, forms: Sequence[BlockForm], nets: Sequence[tuple[Widths, Forms]]
) -> FormPlan:
    """What has to be timed so that blocks of ``model`` can have any of ``forms``.

    The constant is fitted to ``nets``. Stem, last convolution and head stay as they are.
    """
    body = adaptable_body(model.backbone)
    widths, num_rows = widths_of(body.architecture), len(body.architecture.blocks)
    num_blocks = len(body.blocks)
    blocks = {}
    for form in forms:
        build_all = partial(_build_all, build, [form] * num_rows)
        blocks[form] = cut(build_all(widths), widths, build_all, _EXPANSIONS)[:num_blocks]
    own = partial(_build_all, build, forms_of(body.architecture))
    others = cut(model, widths, own)[num_blocks:]
    subnets = make_plan([*others, *(unit for units in blocks.values() for unit in units)], own, []).subnets
    whole = []
    for net_widths, net_forms in nets:
        key, subnet = whole_net(partial(_build_all, build, net_forms), net_widths)
        subnets[key] = lambda subnet=subnet: subnet  # type: ignore[misc]
        whole.append((net_widths, net_forms, key))
    return FormPlan(blocks, others, subnets, whole)


def form_latency(plan: FormPlan, seconds: Mapping[str, float]) -> FormLatency:
    """The latency from a table's ``seconds``.

    Raises:
        InputError: the table lacks something.
    """
    blocks = {form: without_constant(units, seconds) for form, units in plan.blocks.items()}
    bare = FormLatency(blocks, without_constant(plan.others, seconds))
    differences = [look_up(seconds, key) - bare(widths, forms) for widths, forms, key in plan.nets]
    return replace(bare, others=replace(bare.others, constant=float(np.mean(differences))))


def _build_all(build: FormBuild, forms: Forms, widths: Widths) -> SingleModel:
    return build(widths, forms)
