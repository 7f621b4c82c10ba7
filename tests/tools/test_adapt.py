"""Covers tasks/adapt/result.py, deploy/latency/known.py.

The command ``adapt``: from a run to an ordinary run that is narrower, by a table from another device.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from pocketvision.core.errors import InputError
from pocketvision.core.weights import read_passport
from pocketvision.deploy.latency import known
from pocketvision.deploy.latency.known import (
    Device,
    kept_table,
    measured_here,
    plan_of_model,
    read_table,
    time_networks,
)
from pocketvision.runs.folder import Run
from pocketvision.runs.ready_model import load_model
from pocketvision.tasks.adapt.network import AdaptedNetwork
from pocketvision.tasks.adapt.path import Stop
from pocketvision.tasks.adapt.result import of_config, source_of, write_adapted
from pocketvision.tools import adapt
from pocketvision.tools.adapt import main
from pocketvision.tools.eval import main as evaluate
from pocketvision.tools.train import main as train

KILLED = """
import os, signal, sys
from pocketvision.tasks.adapt.path import SearchFolder
keep = SearchFolder.keep
def killed(self, stops, *rest):
    keep(self, stops, *rest)
    if len(stops) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
SearchFolder.keep = killed
from pocketvision.tools.adapt import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def table(trained: Path, device_table: Callable[[Any], Path]) -> Path:
    network = AdaptedNetwork(source_of(trained, []))
    return device_table(plan_of_model(network.model, network.build).plan.subnets)


@pytest.fixture(scope="module")
def words(trained: Path, table: Path) -> list[str]:
    """A short search, without where to."""
    pace = ["--tried", "2", "--at-once", "2", "--steps", "1", "--delta", "0.05"]
    return [str(trained), "--latency", "0.8x", "--images", "2", "--table", str(table), *pace]


@pytest.fixture(scope="module")
def narrow(words: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("adapted") / "narrow"
    assert main([*words, "--run-dir", str(folder)]) == 0
    return folder


def test_the_result_is_an_ordinary_run(
    trained: Path, one_step: list[str], narrow: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = narrow
    config = (folder / "config" / "adapted_quickstart.py").read_text()
    assert "WIDTHS = (" in config and Run.open(folder).record["config"] == "adapted_quickstart.py"
    passport = read_passport(folder / "weights.safetensors")
    assert passport["builder"]["config"] == "quickstart" and passport["builder"]["arguments"]["widths"]
    by_run, by_file = load_model(folder), load_model(folder / "weights.safetensors")
    assert [x.shape for x in by_run.parameters()] == [x.shape for x in by_file.parameters()]
    wide = load_model(trained)
    assert sum(p.numel() for p in by_run.parameters()) < 0.85 * sum(p.numel() for p in wide.parameters())
    assert evaluate([str(folder), "--output", str(tmp_path / "scored")]) == 0
    own = folder / "config" / "adapted_quickstart.py"
    more = [str(own), *one_step, "--from", str(folder), "--run-dir", str(tmp_path / "more")]
    assert train(more) == 0
    assert (folder.with_name("narrow_search") / "path.png").is_file()
    assert main(["--resume", str(folder)]) == 1  # the run is finished
    assert "is finished" in capsys.readouterr().err


@pytest.mark.slow
def test_killed_and_resumed_it_comes_to_the_same_result(
    narrow: Path, words: list[str], tmp_path: Path, run_python: Callable[..., Any],
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    (tmp_path / "killed.py").write_text(KILLED)
    folder = tmp_path / "narrow"
    done = run_python([str(tmp_path / "killed.py"), *words, "--run-dir", str(folder)], tmp_path)
    assert done.returncode == -signal.SIGKILL and not folder.exists()
    assert len(json.loads((tmp_path / "narrow_search" / "path.json").read_text())) == 2
    assert main(["--resume", str(folder)]) == 0
    said = capsys.readouterr()
    assert "by its layers now" in said.out and "round 2:" in said.err and "round 1:" not in said.err
    for name in ("path.json", "config/adapted_quickstart.py"):
        undisturbed = narrow.with_name("narrow_search") / name
        assert (tmp_path / "narrow_search" / name).read_bytes() == undisturbed.read_bytes()
    ours, theirs = (load_model(place).state_dict() for place in (folder, narrow))
    assert all(torch.equal(ours[name], value) for name, value in theirs.items())


@pytest.mark.parametrize(("after", "is_doubted"), [(0.7, False), (0.78, False), (0.55, True), (0.9, True)])
def test_layers_timed_on_a_busy_machine_are_doubted(
    after: float, is_doubted: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(known, "time_networks", lambda *_: {"before": 0.01, "after": 0.01 * after})
    stops = [Stop((), seconds, 0.5, ()) for seconds in (0.02, 0.014)]
    arguments, network = SimpleNamespace(backend="torch", threads=1), SimpleNamespace(build=None)
    text = adapt._measured(arguments, network, stops)  # type: ignore[arg-type]
    assert text == f"{10 * after:.2f} ms, 10.00 ms before ({after:.2f}x)"
    said = capsys.readouterr().out
    assert ("promised 0.70x" in said and str(kept_table(Device("torch", 1))) in said) is is_doubted


def test_a_config_needs_weights_and_a_name_that_can_be_imported(
    trained: Path, one_step: list[str], tmp_path: Path
) -> None:
    from pocketvision.core.command import find_config

    with pytest.raises(InputError, match="no trained weights"):
        of_config(find_config("quickstart"), one_step)
    source = source_of(trained, [])
    odd = tmp_path / "my-config.py"
    odd.write_bytes(source.files[0].read_bytes())
    with pytest.raises(InputError, match="can't be imported"):
        write_adapted(tmp_path / "new", source._replace(files=[odd]), ((1, 1),), "nothing")


def test_what_was_timed_here_is_kept(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = AdaptedNetwork(source_of(trained, []))
    plan = plan_of_model(network.model, network.build)
    asked = []

    def timed(
        subnets: dict[str, Any], backend: str, threads: int, before: dict[str, float]
    ) -> dict[str, float]:
        asked.append(len([key for key in subnets if key not in before]))
        return {**before, **dict.fromkeys(subnets, 1e-3)}

    monkeypatch.setenv("POCKETVISION_CACHE", str(tmp_path))
    monkeypatch.setattr(known, "measure", timed)
    latency, _ = measured_here(plan, Device("torch", 1))
    again, own = measured_here(plan, Device("torch", 1))
    assert asked == [len(plan.plan.subnets), 0] and len(own["seconds"]) == asked[0]
    assert latency(network.widths) == again(network.widths) == pytest.approx(1e-3)
    ends = {"before": network.widths, "after": network.widths}
    assert time_networks(network.build, ends, Device("torch", 1)) == {"before": 1e-3, "after": 1e-3}
    with pytest.raises(InputError, match="choose onnx, torch"):
        measured_here(plan, Device("ncnn", 1))
    (tmp_path / "none.json").write_text('{"seconds": {"block": "1"}}')
    with pytest.raises(InputError, match="no table of latencies"):
        read_table(tmp_path / "none.json")
