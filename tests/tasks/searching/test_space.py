"""What a search may choose: every draw is a network of the source's form, and what has no effect is fixed."""

from __future__ import annotations

import numpy as np
import pytest

from pocketvision.backbones import mobilenet_v2, mobilenet_v3_small
from pocketvision.backbones.blocks import InvertedResidual
from pocketvision.backbones.forms import forms_of
from pocketvision.backbones.mobilenet import MobileNet
from pocketvision.backbones.width_groups import width_groups
from pocketvision.backbones.widths import widths_of
from pocketvision.tasks.searching.space import SearchSpace, StageChoice

FEATURES = ("c3_expand", "c4")


@pytest.mark.parametrize("builder", [mobilenet_v2, mobilenet_v3_small])
def test_every_draw_and_mutation_is_a_network_that_expands_and_adds_where_the_source_does(
    builder: type,
) -> None:
    body: MobileNet = builder(out_features=FEATURES)
    space, generator = SearchSpace(body), np.random.default_rng(0)
    candidate = space.draw(generator)
    for _ in range(8):
        before, candidate = candidate, space.mutated(candidate, generator)
        differing = [
            one != two for a, b in zip(before, candidate, strict=True) for one, two in zip(a, b, strict=True)
        ]
        assert 1 <= sum(differing) <= 2
        widths, forms = space.decoded(candidate)
        built: MobileNet = builder(out_features=FEATURES, widths=widths, forms=forms)
        assert list(built.feature_info) == list(body.feature_info)
        for ours, theirs in zip(body.blocks, built.blocks, strict=True):
            assert isinstance(ours, InvertedResidual) and isinstance(theirs, InvertedResidual)
            assert ours.has_residual == theirs.has_residual
            assert type(ours.expand) is type(theirs.expand)
        rows = built.architecture.blocks[: len(built.blocks)]
        for stage, choice in enumerate(candidate):
            own = [s for s, number in zip(rows, space.stage_of, strict=True) if number == stage]
            assert {(s.kernel_size, s.squeeze, s.activation) for s in own} == {choice[2:]}
            assert len({s.out for s in own}) == 1


def test_full_shares_are_the_sources_widths_and_what_was_not_built_stays() -> None:
    body = mobilenet_v3_small(out_features=("c3_expand",))
    space = SearchSpace(body)
    whole = tuple(StageChoice(1.0, 1.0, 5, True, "relu") for _ in space.options)
    widths, forms = space.decoded(whole)
    assert widths == widths_of(body.architecture)
    built = len(body.blocks)
    assert forms[built:] == forms_of(body.architecture)[built:]
    assert set(forms[:built]) == {(5, True, "relu")}
    assert space.options[-1].kernel_sizes == (5,)  # the last block ends behind its expansion
    assert space.options[0].expansions == (1.0,)  # the first has none


def test_every_group_has_narrower_widths() -> None:
    body = mobilenet_v2()
    space = SearchSpace(body)
    for group in width_groups(body):
        found = space.narrowings(group)
        assert found
        for widths in found:
            differing = {
                (block, part)
                for block, (one, two) in enumerate(zip(widths, space.widths, strict=True))
                for part in (0, 1)
                if one[part] != two[part]
            }
            assert differing == set(group.places)
    assert len(space.examples()) == 3 and space.examples()[0] == (space.widths, space.forms)
