"""Covers tasks/searching/proxy.py.

The command ``search``: from a run to a config that trains, by a table of latencies, also after ``kill -9``.
"""

from __future__ import annotations

import csv
import json
import re
import shlex
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pocketvision.core.errors import InputError
from pocketvision.deploy.latency.by_form import plan_forms
from pocketvision.runs.ready_model import load_model
from pocketvision.tasks.adapt.result import of_config, source_of
from pocketvision.tasks.searching.proxy import Proxy, SearchedNetwork
from pocketvision.tools.search import main
from pocketvision.tools.train import main as train

SHORT = ["--latency", "0.8x", "--steps", "2", "--candidates", "4", "--images", "2"]
KILLED = """
import os, signal, sys
from pocketvision.tasks.searching import evolution
from pocketvision.tasks.searching.proxy import Proxy
Proxy.source_score = lambda self: 0.5
write = evolution.write_history
def killed(file, history):
    write(file, history)
    if len(history) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
evolution.write_history = killed
from pocketvision.tools.search import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def table(trained: Path, device_table: Callable[[Any], Path]) -> Path:
    network = SearchedNetwork(source_of(trained, []))
    space = network.space
    return device_table(plan_forms(network.model, network.build, space.all_forms(), space.examples()).subnets)


@pytest.mark.slow
def test_what_is_found_is_an_ordinary_config_and_a_kill_changes_nothing(
    trained: Path, one_step: list[str], table: Path, tmp_path: Path, run_python: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(Proxy, "source_score", lambda self: 0.5)  # one step of training finds nothing
    words = [str(trained), *SHORT, "--table", str(table)]
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert main([*words, "--run-dir", str(whole)]) == 0
    said = capsys.readouterr().out
    assert "wanted" in said and "reward" in said

    (tmp_path / "killed.py").write_text(KILLED)
    done = run_python([str(tmp_path / "killed.py"), *words, "--run-dir", str(cut)], tmp_path)
    assert done.returncode == -signal.SIGKILL
    assert len(json.loads((cut / "candidates.json").read_text())) == 2
    assert not (cut / "weights.safetensors").exists()
    assert main(["--resume", str(cut)]) == 0
    for name in ("candidates.json", "candidates.csv", "config/searched_quickstart.py", "weights.safetensors"):
        assert (cut / name).read_bytes() == (whole / name).read_bytes(), name

    with (whole / "candidates.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 4
    assert (whole / "candidates.png").stat().st_size > 10_000
    found = load_model(whole / "weights.safetensors")
    command = re.search(r"^next: pocketvision train (.+)$", said, re.MULTILINE)
    assert command is not None
    monkeypatch.chdir(tmp_path)
    assert train([*shlex.split(command[1]), *one_step[2:], "--run-dir", "trained"]) == 0
    learned = load_model(tmp_path / "trained")
    assert [x.shape for x in learned.parameters()] == [x.shape for x in found.parameters()]


def test_the_network_must_find_something_and_take_forms(trained: Path, tmp_path: Path) -> None:
    network = SearchedNetwork(source_of(trained, []))
    proxy = Proxy(network, 2)
    judged = {target.image_id for batch in proxy.batches for target in batch.targets}  # type: ignore[union-attr]
    taught = {target.image_id for b in proxy.trials.images.batches for target in b.targets}  # type: ignore[union-attr]
    assert judged and not judged & taught and judged == set(proxy.records.image_ids.tolist())
    proxy.score_of = lambda model: 0.0  # type: ignore[method-assign]
    with pytest.raises(InputError, match="train it"):
        proxy.source_score()
    own = tmp_path / "own_search.py"
    text = "from dataclasses import replace\nfrom pocketvision.configs import street_v2\n"
    own.write_text(f"{text}config = street_v2.config\n")
    with pytest.raises(InputError, match="no argument widths"):
        SearchedNetwork(of_config(own, ["model.weights='w'"]))
