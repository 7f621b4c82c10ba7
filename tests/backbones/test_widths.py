"""Covers backbones/widths.py, backbones/width_groups.py: widths block by block, and which go together."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pocketvision.backbones import WithExtraBlocks, mobilenet_v1, mobilenet_v2, mobilenet_v3_large
from pocketvision.backbones.blocks import InvertedResidual
from pocketvision.backbones.width_groups import adaptable_body, width_groups
from pocketvision.backbones.widths import widths_of, with_widths
from pocketvision.core.errors import InputError


def shapes(module: nn.Module) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in module.state_dict().items()}


def test_the_tables_own_widths_change_nothing() -> None:
    plain = mobilenet_v3_large(width_mult=0.35)
    stated = mobilenet_v3_large(width_mult=0.35, widths=widths_of(plain.architecture))
    assert shapes(stated) == shapes(plain)


def test_stated_widths_are_built() -> None:
    widths = [(96, 24)] * 17
    widths[0] = (32, 16)
    backbone = mobilenet_v2(widths=widths, out_features=("c2", "c5"))
    assert backbone.feature_info["c5"].channels == 24
    assert [tuple(f.shape[1:2]) for f in backbone.eval()(torch.zeros(1, 3, 32, 32)).values()] == [
        (24,),
        (24,),
    ]


@pytest.mark.parametrize("widths", [[(32, 16)], [(32,)] * 17, [(32, 0)] * 17, [(32, 16.0)] * 17])
def test_unfit_widths_are_refused(widths: list[tuple[int, int]]) -> None:
    with pytest.raises(ValueError, match=r"give \(expanded, out\)"):
        with_widths(mobilenet_v2().architecture, widths)


@pytest.mark.parametrize("builder", [mobilenet_v2, mobilenet_v3_large])
def test_every_group_changes_alone(builder: type) -> None:
    """Residuals and expansions stay where they are when any one group is narrowed."""
    body = builder(out_features=("c3", "c4_expand"))
    widths = widths_of(body.architecture)
    groups = width_groups(body)
    places = [place for group in groups for place in group.places]
    assert len(places) == len(set(places))
    for group in groups:
        narrow = builder(
            out_features=("c3", "c4_expand"), widths=group.resized(widths, group.width(widths) - 4)
        )
        for ours, theirs in zip(body.blocks, narrow.blocks, strict=True):
            assert isinstance(ours, InvertedResidual) and isinstance(theirs, InvertedResidual)
            assert ours.has_residual == theirs.has_residual
            assert type(ours.expand) is type(theirs.expand)


def test_what_is_tied_to_the_stem_or_not_built_is_in_no_group() -> None:
    body = mobilenet_v3_large(out_features=("c3", "c4_expand"))  # its first block adds to the stem's output
    places = {place for group in width_groups(body) for place in group.places}
    assert (0, 1) not in places and (0, 0) not in places
    last = len(body.blocks) - 1  # cut after its expansion
    assert (last, 0) in places and (last, 1) not in places


def test_pyramids_are_looked_through_and_v1_is_refused() -> None:
    body = mobilenet_v2(width_mult=0.35)
    assert adaptable_body(WithExtraBlocks(body, channels=(16,))) is body
    with pytest.raises(InputError, match="MobileNetV2 and V3"):
        adaptable_body(mobilenet_v1(width_mult=0.25))
