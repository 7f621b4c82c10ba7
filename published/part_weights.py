"""Weights of a model of one task for that part of a model of several."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from torch import nn

from pocketvision.core.errors import InputError
from pocketvision.core.weights import MatchReport, StateDict, load_state_dict
from pocketvision.models import JointModel, SharedBackbone
from pocketvision.models.input_facts import norm_eps
from pocketvision.published.class_surgery import match_classes
from pocketvision.published.mismatch import refuse_other


def is_for_part(model: object, passport: Mapping[str, Any]) -> bool:
    """Whether weights are of one task, and ``model`` is of several with that one among them."""
    return isinstance(model, JointModel) and passport.get("task") in model.tasks


def load_part(
    model: JointModel, state: StateDict, passport: Mapping[str, Any], path: Path, *, same_classes: bool
) -> MatchReport:
    """Load the backbone and the head of one task; the other heads stay as they are.

    A backbone that ends before the model's, or after it, gives the layers that both have.

    Classes may differ, as for a model of one task; ``same_classes`` refuses such weights: for scoring.

    Raises:
        InputError: they are of another architecture or preprocessing, or the model is to be scored.
    """
    task = passport["task"]
    if same_classes:
        raise InputError(f"{path} is for {task} alone: score it with its own run or config.")
    part = model.part(task)
    own = {**part.passport(), "padding": model.passport()["padding"]}
    own["norm_eps"] = sorted({*norm_eps(part), *norm_eps(cast(nn.Module, model.backbone))})
    refuse_other(own, passport, path)
    place = next(name for name, module in part.named_modules() if isinstance(module, SharedBackbone))
    prefix = f"{place}."
    head = {name: value for name, value in state.items() if not name.startswith(prefix)}
    body = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    head, _ = match_classes(part, head, passport.get("class_names"), str(path))
    known = _shared(cast(nn.Module, model.backbone), body, path)
    report = load_state_dict(part, head, f"{path} ({task})")
    return replace(report, note=f"and {known.num_matched} of {known.num_tensors} of the backbone")


def _shared(backbone: nn.Module, state: StateDict, path: Path) -> MatchReport:
    """Load a backbone from one that may end at another feature: what only one of them has stays as it is.

    Raises:
        InputError: they differ in more.
    """
    own = backbone.state_dict()
    common = {name: value for name, value in state.items() if name in own}
    if len(common) < min(len(own), len(state)):
        return load_state_dict(backbone, state, str(path))  # which says the difference
    load_state_dict(backbone, {**own, **common}, str(path))
    return MatchReport(str(path), len(common), len(own))
