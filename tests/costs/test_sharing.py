"""What one forward pass costs beside two, against models built alone."""

from __future__ import annotations

import json

import pytest

from pocketvision.configs import own_detection_gfl, street_v2
from pocketvision.costs.measure import measure_cost
from pocketvision.costs.sharing import measure_sharing
from pocketvision.tools.cost import main

SIZE = (360, 480)


def test_a_part_alone_costs_what_the_single_model_costs() -> None:
    model = street_v2.model(street_v2.config.class_names or (), weights=None)
    joint = measure_cost(model, SIZE)
    sharing = measure_sharing(model, SIZE, joint)
    alone = measure_cost(own_detection_gfl.model(street_v2.STREET_NAMES, "v2", SIZE, weights=None), SIZE)
    assert sharing.alone["detection"] == (alone.params, alone.madds)
    shared = measure_cost(model.backbone, SIZE)  # type: ignore[arg-type]
    assert sum(madds for _, madds in sharing.alone.values()) - joint.madds == shared.madds
    assert sum(params for params, _ in sharing.alone.values()) - joint.params == shared.params


@pytest.mark.parametrize("name", ["street_v2", "street_v3_large"])
def test_cost_says_what_sharing_saves(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["share_of_sum"]["madds"] <= 0.65  # the bar of the issue
    assert facts["madds"] == pytest.approx(
        facts["share_of_sum"]["madds"] * sum(part["madds"] for part in facts["alone"].values())
    )
    assert main([name]) == 0
    assert "one forward pass for all: 0.55 of the sum" in capsys.readouterr().out
