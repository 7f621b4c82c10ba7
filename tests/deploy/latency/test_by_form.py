"""Blocks of every form add up to networks of mixed forms."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest

from pocketvision.backbones.forms import BlockForm, Forms, forms_of
from pocketvision.backbones.width_groups import adaptable_body
from pocketvision.backbones.widths import Widths, widths_of
from pocketvision.configs import quickstart
from pocketvision.core.errors import InputError
from pocketvision.deploy.latency.by_form import form_latency, plan_forms
from pocketvision.runs.build import build_model

ALL = [BlockForm(k, s, a) for k in (3, 5) for s in (False, True) for a in ("relu", "hardswish")]  # type: ignore[arg-type]


def build(widths: Widths | None, forms: Forms | None) -> Any:
    model = partial(quickstart.config.model, image_size=(64, 64), widths=widths, forms=forms)
    return build_model(replace(quickstart.config, model=model), ("a", "b"))


def test_the_latency_of_mixed_forms_is_the_sum_of_their_blocks() -> None:
    """With a second for each number in a layer: predicted is what the network holds."""
    model = build(None, None)
    architecture = adaptable_body(model.backbone).architecture
    widths, own = widths_of(architecture), forms_of(architecture)
    generator = np.random.default_rng(0)
    mixed = [tuple(ALL[i] for i in generator.integers(len(ALL), size=len(own))) for _ in range(3)]
    plan = plan_forms(model, build, ALL, [(widths, own), (widths, mixed[0])])
    seconds = {
        key: float(sum(p.numel() for p in make().module.parameters())) for key, make in plan.subnets.items()
    }
    latency = form_latency(plan, seconds)
    for forms in (own, *mixed):
        held = sum(p.numel() for name, p in build(widths, forms).named_parameters() if ".norm." not in name)
        assert latency(widths, forms) == pytest.approx(held, rel=0.03)
    with_gates = tuple(form._replace(squeeze=True) for form in mixed[1])
    without = tuple(form._replace(squeeze=False) for form in mixed[1])
    assert latency(widths, with_gates) > latency(widths, without)
    with pytest.raises(InputError, match="has no 'block"):
        form_latency(plan, {})
