"""Forms block by block: what is stated is what is built."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from pocketvision.backbones import mobilenet_v2, mobilenet_v3_large
from pocketvision.backbones.forms import forms_of, with_forms
from pocketvision.core.layers import SqueezeExcitation


def shapes(module: nn.Module) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in module.state_dict().items()}


def test_the_tables_own_forms_change_nothing() -> None:
    plain = mobilenet_v3_large(width_mult=0.35)
    own = forms_of(plain.architecture)
    assert {form.kernel_size for form in own} == {3, 5} and any(form.squeeze for form in own)
    stated = mobilenet_v3_large(width_mult=0.35, forms=own)
    assert shapes(stated) == shapes(plain) and str(stated) == str(plain)


def test_stated_forms_are_built_and_widths_stay() -> None:
    forms = [(3, False, "relu6")] * 17
    forms[4] = (5, True, "hardswish")
    plain, changed = mobilenet_v2(width_mult=0.35), mobilenet_v2(width_mult=0.35, forms=forms)  # type: ignore[arg-type]
    block: Any = changed.blocks[4]
    assert block.depthwise.conv.kernel_size == (5, 5) and isinstance(block.squeeze, SqueezeExcitation)
    assert isinstance(block.expand.activation, nn.Hardswish)
    before, after = shapes(plain), shapes(changed)
    differing = {name for name in after if after[name] != before.get(name)}
    assert {name.rpartition(".")[0] for name in differing} == {
        "blocks.4.depthwise.conv", "blocks.4.squeeze.reduce", "blocks.4.squeeze.expand",
    }  # fmt: skip
    images = torch.zeros(1, 3, 32, 32)
    for name, feature in changed.eval()(images).items():
        assert feature.shape == plain.eval()(images)[name].shape


@pytest.mark.parametrize(
    "forms",
    [
        [(3, False, "relu")],
        [(3, False)] * 17,
        [(4, False, "relu")] * 17,
        [(3, 1, "relu")] * 17,
        [(3, False, "swish")] * 17,
    ],
)
def test_unfit_forms_are_refused(forms: Any) -> None:
    with pytest.raises(ValueError, match="give"):
        with_forms(mobilenet_v2().architecture, forms)
