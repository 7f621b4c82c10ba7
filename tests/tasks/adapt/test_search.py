"""Covers tasks/adapt/proposals.py, tasks/adapt/search.py, tasks/adapt/path.py, tasks/adapt/trial.py,
tasks/adapt/network.py, tasks/adapt/picture.py.

The rounds of NetAdapt on a small detector: they end below the target, and go on where they were cut off.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from pocketvision.backbones.width_groups import adaptable_body, width_groups
from pocketvision.backbones.widths import Widths
from pocketvision.configs import quickstart, street_v2
from pocketvision.core.command import CONFIGS
from pocketvision.core.config import apply_overrides
from pocketvision.core.errors import InputError
from pocketvision.tasks.adapt.network import AdaptedNetwork
from pocketvision.tasks.adapt.path import SearchFolder, Stop
from pocketvision.tasks.adapt.picture import path_picture
from pocketvision.tasks.adapt.proposals import keeps_form, propose
from pocketvision.tasks.adapt.result import AdaptedSource
from pocketvision.tasks.adapt.search import Pace, Search
from pocketvision.tasks.adapt.trial import Trials, trial_images

TINY = {
    "model.image_size": (64, 64), "model.width_mult": 0.5,
    "class_names": ("circle", "square", "triangle", "star"),
    "data.num_train": 12, "data.num_val": 2, "data.batch_size": 2, "data.num_workers": 0,
}  # fmt: skip


def seconds(widths: Widths) -> float:
    """As if a block took a microsecond for every 100 multiply-adds a pixel."""
    total, channels = 0, 16
    for expanded, out in widths:
        total += expanded * (channels + 9 + out)
        channels = out
    return total * 1e-8


def network() -> AdaptedNetwork:
    torch.manual_seed(0)
    experiment = apply_overrides(quickstart.config, TINY)
    return AdaptedNetwork(AdaptedSource(experiment, [CONFIGS / "quickstart.py"], []))


def search(folder: Path, adapted: AdaptedNetwork, pace: Pace, target: float) -> Search:
    trials = Trials(adapted.experiment, trial_images(adapted.experiment, adapted.data, 4))
    goal = target * seconds(adapted.widths)
    return Search(adapted.build, seconds, goal, trials, SearchFolder(folder), pace, adapted.passport)


def test_every_proposal_wins_enough_and_no_wider_one_does() -> None:
    adapted = network()
    body = adaptable_body(adapted.model.backbone)
    now = seconds(adapted.widths)
    proposals = propose(body, width_groups(body), adapted.widths, seconds, 0.02 * now)
    assert proposals
    for proposal in proposals:
        assert proposal.won == pytest.approx(now - seconds(proposal.widths))
        assert proposal.won >= 0.02 * now and keeps_form(body, proposal.widths)
        wider = proposal.group.resized(proposal.widths, proposal.group.width(proposal.widths) + 8)
        is_own = proposal.group.width(wider) >= proposal.group.width(adapted.widths)
        assert is_own or now - seconds(wider) < 0.02 * now or not keeps_form(body, wider)


def test_widths_that_would_change_the_form_are_none() -> None:
    body = adaptable_body(network().model.backbone)
    widths = [(block.expanded, block.out) for block in body.architecture.blocks]
    assert keeps_form(body, widths)
    without_expansion = [*widths]
    without_expansion[2] = (widths[1][1], widths[2][1])
    assert not keeps_form(body, without_expansion)


@pytest.mark.slow
@pytest.mark.parametrize("pace", [Pace(0.05, 2, 1, 1), Pace(0.05, 3, 1, 3)], ids=["one at a time", "three"])
def test_the_search_goes_on_where_it_was_cut_off(tmp_path: Path, pace: Pace) -> None:
    """Killed after a round, or between its weights and its path: the same path, to the bit."""
    adapted = network()
    whole = search(tmp_path / "whole", adapted, pace, 0.8).run(adapted.model, adapted.widths)
    assert whole[-1].seconds <= 0.8 * whole[0].seconds < whole[-2].seconds
    assert all(len(stop.narrowed) <= pace.at_once for stop in whole)

    first = search(tmp_path / "cut", adapted, pace, 0.8)
    keep, folder = SearchFolder.keep, SearchFolder(tmp_path / "cut")

    def killed(self: SearchFolder, stops: list[Stop], *rest: Any) -> None:
        keep(self, stops, *rest)
        if len(stops) == 2:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(SearchFolder, "keep", killed)
        first.run(network().model, adapted.widths)
    assert len(folder.stops()) == 2
    again = network()
    went_on = search(tmp_path / "cut", again, pace, 0.8).run(again.model, again.widths)
    assert went_on == whole == folder.stops()
    last = len(whole) - 1
    assert folder.weights(last).read_bytes() == SearchFolder(tmp_path / "whole").weights(last).read_bytes()
    assert not folder.weights(last - 1).exists()


def test_a_target_that_can_not_be_reached_is_said(tmp_path: Path) -> None:
    adapted = network()
    with pytest.raises(InputError, match="ask for a higher --latency"):
        search(tmp_path, adapted, Pace(0.9, 1, 1, 1), 0.01).run(adapted.model, adapted.widths)


def test_judging_teaches_nothing_and_validation_images_take_no_part(monkeypatch: pytest.MonkeyPatch) -> None:
    adapted = network()
    monkeypatch.setattr(adapted.data, "val_split", "there is none")
    images = trial_images(adapted.experiment, adapted.data, 4)
    trials = Trials(adapted.experiment, images)
    before = {name: value.clone() for name, value in adapted.model.state_dict().items()}
    assert trials.loss(adapted.model) == trials.loss(adapted.model)
    for name, value in adapted.model.state_dict().items():
        assert name.endswith("num_batches_tracked") or torch.equal(value, before[name])
    ids = [[target.image_id for batch in part for target in batch.targets] for part in images]
    assert not set(ids[0]) & set(ids[1])
    trials.tune(adapted.model, 1, (0,))
    assert not torch.equal(
        adapted.model.state_dict()["backbone.stem.conv.weight"], before["backbone.stem.conv.weight"]
    )


def test_what_can_not_be_adapted_is_said() -> None:
    with pytest.raises(InputError, match="no argument widths"):
        AdaptedNetwork(AdaptedSource(street_v2.config, [CONFIGS / "street_v2.py"], []))
    experiment = apply_overrides(quickstart.config, {**TINY, "data.num_train": 3})
    few = AdaptedNetwork(AdaptedSource(replace(experiment), [CONFIGS / "quickstart.py"], []))
    with pytest.raises(InputError, match="two batches"):
        trial_images(few.experiment, few.data, 4)


def test_the_picture_of_a_path(tmp_path: Path) -> None:
    stops = [
        Stop(((16, 16), (96, 24)), 0.01, 1.0),
        Stop(((16, 16), (64, 24)), 0.008, 1.1, ("expansion of 1",)),
    ]
    path_picture(stops, tmp_path / "path.png")
    assert (tmp_path / "path.png").stat().st_size > 10_000


def test_a_broken_path_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "path.json").write_text('[{"no": 1}]')
    with pytest.raises(InputError, match="broken"):
        SearchFolder(tmp_path).stops()
