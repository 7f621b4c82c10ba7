"""What comes of a search: a config that builds the network, a command, a picture, a Pareto front."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pocketvision.configs import quickstart
from pocketvision.core.command import CONFIGS
from pocketvision.core.errors import InputError
from pocketvision.runs.build import build_model
from pocketvision.runs.folder import load_experiment
from pocketvision.tasks.adapt.result import AdaptedSource
from pocketvision.tasks.searching.evolution import Scored
from pocketvision.tasks.searching.result import front, search_picture, train_command, write_searched
from pocketvision.tasks.searching.space import SearchSpace, StageChoice


def test_the_front_has_what_nothing_beats() -> None:
    generator = np.random.default_rng(0)
    rows = [Scored((), *generator.uniform(0, 1, 3).round(1).tolist()) for _ in range(60)]
    kept = front(rows)
    for row in rows:
        beaten = any(
            other.score >= row.score and other.seconds <= row.seconds and other[1:3] != row[1:3]
            for other in rows
        )
        assert (row[1:3] in [one[1:3] for one in kept]) != beaten
    assert [row.seconds for row in kept] == sorted(row.seconds for row in kept)


def test_a_found_network_is_an_ordinary_config(tmp_path: Path) -> None:
    source = AdaptedSource(
        quickstart.config, [CONFIGS / "quickstart.py"], ["model.weights='old'", "seed=1", "seed=2"]
    )
    model: Any = build_model(quickstart.config, ("a",))
    space = SearchSpace(model.backbone)
    candidate = tuple(StageChoice(0.5, 1.0, 5, False, "relu") for _ in space.options)
    widths, forms = space.decoded(candidate)
    config = write_searched(tmp_path / "config", source, widths, forms, "nothing")
    found: Any = build_model(load_experiment(config, [])[0], ("a",))
    architecture = found.backbone.architecture
    assert tuple((s.expanded, s.out) for s in architecture.blocks) == widths
    assert tuple((s.kernel_size, s.squeeze, s.activation) for s in architecture.blocks) == forms
    words = shlex.split(train_command(config, source, tmp_path / "w.safetensors"))
    assert words[:3] == ["pocketvision", "train", str(config)]
    assert sorted(words[3:]) == [f"model.weights='{tmp_path / 'w.safetensors'}'", "seed=2"]
    odd = source._replace(files=[tmp_path / "my-config.py"])
    with pytest.raises(InputError, match="can't be imported"):
        write_searched(tmp_path, odd, widths, forms, "nothing")


def test_the_picture_of_a_search(tmp_path: Path) -> None:
    rows = [Scored((), 0.1 * number, 1e-3 * number, 0.1) for number in range(1, 5)]
    search_picture({"random": rows[:2], "evolved": rows[2:]}, rows[1], 2e-3, tmp_path / "candidates.png")
    assert (tmp_path / "candidates.png").stat().st_size > 10_000
