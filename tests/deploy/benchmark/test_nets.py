"""Covers deploy/benchmark/nets.py, deploy/benchmark/scores.py, deploy/benchmark/trade_off.py,
deploy/benchmark/curves.py.

A sweep: which nets it has, which run has trained which, and what is written of them.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image

from pocketvision.configs.quickstart import model as detector
from pocketvision.core.command import find_config
from pocketvision.core.errors import InputError
from pocketvision.costs.measure import measure_cost
from pocketvision.deploy.benchmark.curves import sweep_picture
from pocketvision.deploy.benchmark.latency import Measurement
from pocketvision.deploy.benchmark.nets import SweptNet, parse_sweep, swept_nets, value_text
from pocketvision.deploy.benchmark.scores import read_scored_runs, runs_of_nets
from pocketvision.deploy.benchmark.trade_off import TradeOff, fitting, joined, sweep_table, write_sweep
from pocketvision.runs.folder import Run
from pocketvision.tools.benchmark import main

NAMES = ("disc", "star")
SWEEP = ["width_mult=0.35,0.5", "image_size=64,64x96"]


@pytest.fixture(scope="module")
def nets() -> list[SweptNet]:
    return swept_nets([find_config("quickstart")], parse_sweep(SWEEP), NAMES)


def run_of(
    folder: Path, overrides: Sequence[str], score: float, names: Sequence[str] = NAMES, split: str = "val"
) -> Path:
    """A run of quickstart as training leaves it, without its weights."""
    Run.create(folder, [find_config("quickstart")], overrides, names)
    (folder / "metrics.json").write_text(json.dumps({"AP": score, "split": split}))
    return folder


def measured(nets: Sequence[SweptNet], backend: str = "onnx") -> list[Measurement]:
    """A nanosecond a multiply-add."""
    return [
        Measurement(
            net.name, backend, 1, 1, net.model.resize.image_size, 1.0, net.madds * 1e-9, net.madds * 2e-9, 7
        )
        for net in nets
    ]


def test_values() -> None:
    words = [
        "model.width_mult=0.5,1.0,0.50",
        "image_size=160,512x1024,(160,160)",
        "widths=((1,2),(3,4)),None",
    ]
    assert parse_sweep(words) == {
        "width_mult": (0.5, 1.0), "image_size": ((160, 160), (512, 1024)), "widths": (((1, 2), (3, 4)), None),
    }  # fmt: skip
    assert [value_text(x) for x in ((160, 160), (512, 1024), 0.5, None)] == ["160", "512x1024", "0.5", "None"]


def test_the_nets_are_the_product_and_cost_what_the_model_costs(nets: list[SweptNet]) -> None:
    assert [net.name for net in nets] == [
        f"quickstart width_mult={width} image_size={size}"
        for width in (0.35, 0.5)
        for size in ("64", "64x96")
    ]
    for net in nets:
        own = detector(NAMES, **net.arguments)
        cost = measure_cost(own, own.resize.image_size)
        assert (net.params, net.madds) == (cost.params, cost.madds)
        assert not net.model.training and net.model.resize.image_size == net.arguments["image_size"]


def test_the_number_of_classes_can_be_swept() -> None:
    few, many = swept_nets([find_config("classifier_v2_imagenet")], parse_sweep(["num_classes=10,1000"]))
    assert many.params - few.params == 990 * (1280 + 1)


def test_a_run_goes_to_the_net_that_it_has_trained(nets: list[SweptNet], tmp_path: Path) -> None:
    small = ["model.image_size=(64,96)", "model.width_mult=0.35"]
    folders = [run_of(tmp_path / str(seed), [*small, f"seed={seed}"], 0.25 * seed) for seed in (1, 2)]
    runs = read_scored_runs(folders)
    assert [len(own) for own in runs_of_nets(nets, runs)] == [0, 2, 0, 0]
    rows = joined(nets, measured(nets), runs_of_nets(nets, runs))
    assert [row.score for row in rows] == [None, pytest.approx(0.375), None, None]
    same_layers = swept_nets(
        [find_config("quickstart")], parse_sweep(["max_detections=50,100", *SWEEP]), NAMES
    )
    places = [number for number, own in enumerate(runs_of_nets(same_layers, runs)) if own]
    assert [same_layers[place].arguments["max_detections"] for place in places] == [100]


@pytest.mark.parametrize(
    ("overrides", "names", "split", "sentence"),
    [
        (["model.image_size=(96,96)"], NAMES, "val", "b has trained none of these nets"),
        ([], ("disc", "ring"), "val", "b has learned other classes than"),
        ([], NAMES, "test", "of one metric and split"),
    ],
)
def test_runs_that_do_not_go_together(
    overrides: list[str],
    names: Sequence[str],
    split: str,
    sentence: str,
    nets: list[SweptNet],
    tmp_path: Path,
) -> None:
    small = ["model.image_size=(64,64)", "model.width_mult=0.5"]
    folders = [
        run_of(tmp_path / "a", small, 0.5),
        run_of(tmp_path / "b", [*small, *overrides], 0.5, names, split),
    ]
    with pytest.raises(InputError, match=sentence):
        runs_of_nets(nets, read_scored_runs(folders))


def test_a_run_without_a_score(tmp_path: Path) -> None:
    folder = run_of(tmp_path / "run", [], 0.5)
    (folder / "metrics.json").write_text('{"AP": null, "split": "val"}')
    with pytest.raises(InputError, match="has no score"):
        read_scored_runs([folder])


def test_what_is_written(nets: list[SweptNet], tmp_path: Path) -> None:
    runs = read_scored_runs(
        [run_of(tmp_path / "run", ["model.image_size=(64,64)", "model.width_mult=0.5"], 0.5)]
    )
    times = [row for pair in zip(measured(nets), measured(nets, "torch"), strict=True) for row in pair]
    rows = joined(nets, times, runs_of_nets(nets, runs))
    assert [row.measured.backend for row in rows] == ["onnx"] * 4 + ["torch"] * 4
    lines = sweep_table(rows).splitlines()
    assert lines[0].split()[-1] == "AP" and lines[1].split()[-1] == "-" and lines[3].split()[-1] == "0.5000"
    write_sweep(tmp_path / "out", rows)
    content = json.loads((tmp_path / "out" / "sweep.json").read_text())
    assert (content["metric"], content["split"]) == ("AP", "val")
    assert content["nets"][2]["runs"] == [str(tmp_path / "run")] and content["nets"][2]["image_size"] == "64"
    with (tmp_path / "out" / "sweep.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [float(row["median"]) for row in table] == [net.madds * 1e-9 for net in nets] * 2
    assert {row["score"] for row in table} == {"", "0.5"}
    fastest = min(net.madds for net in nets) * 1e-9
    assert "nothing fits" in fitting(rows, 0.9 * fastest)
    assert "width_mult=0.35 image_size=64 (" in fitting(rows, fastest)
    assert "width_mult=0.5 image_size=64 (" in fitting(rows, 1.0), "the only one with a score"
    assert "width_mult=0.5 image_size=64x96" in fitting(
        [TradeOff(row.net, row.measured) for row in rows], 1.0
    )


@pytest.mark.parametrize("scores", [0, 3], ids=["multiply-adds", "scores"])
def test_the_picture_has_a_panel_for_each_axis(scores: int, nets: list[SweptNet], tmp_path: Path) -> None:
    run = read_scored_runs([run_of(tmp_path / "run", [], 0.5)])[0]
    runs = [[run._replace(score=0.1 * number)] if number < scores else [] for number in range(len(nets))]
    sweep_picture(joined(nets, measured(nets), runs), tmp_path / "sweep.png", budget=0.01)
    with Image.open(tmp_path / "sweep.png") as picture:
        panels = (picture.width / 110 - 1.5) / 4.5
    assert round(panels) == (3 if scores else 1), "latency; with scores also multiply-adds and parameters"


def test_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = run_of(tmp_path / "run", ["model.image_size=(64,64)", "model.width_mult=0.35"], 0.25)
    options = ["--backends", "torch", "--threads", "1", "--rounds", "1", "--budget", "100s"]
    assert main(["quickstart", str(run), *options, "--sweep", *SWEEP]) == 0
    said = capsys.readouterr()
    assert "fits 100000 ms: quickstart width_mult=0.35 image_size=64" in said.out and "AP 0.25" in said.out
    assert "sweep: out/sweep/quickstart" in said.out and not said.err.startswith("error")
    made = sorted(path.name for path in (tmp_path / "out" / "sweep" / "quickstart").iterdir())
    assert made == ["sweep.csv", "sweep.json", "sweep.png"]
    assert len(json.loads((tmp_path / "out/sweep/quickstart/sweep.json").read_text())["nets"]) == 4


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--sweep", "width_mult=0.5"], "Name the CONFIG"),
        (["quickstart", "--sweep", "widht_mult=0.5,1.0"], "Did you mean 'width_mult'"),
        (["own_detection", "--sweep", "width_mult=0.5,1.0"], "'model' has: anchors, backbone"),
        (["quickstart", "--sweep", "width_mult=0.5,wide"], "can't be built with width_mult=wide"),
        (["quickstart", "--sweep", "width_mult=-1"], "give a width above 0"),
        (["quickstart", "--sweep", "image_size=160,tall"], "image_size is a side or height and width"),
        (["quickstart", "--sweep", "num_classes=0"], "give numbers from 1"),
        (["quickstart", "--sweep", "width_mult=0.5,"], "is no list of values"),
        (["--sweep", "width_mult=0.5", "quickstart"], "Name the CONFIG"),
        (["quickstart", "--sweep", "width_mult=0.5", "quickstart"], "name runs and configs before --sweep"),
        (["quickstart", "--sweep", "width_mult=0.5", "width_mult=1.0"], "twice"),
        (["quickstart", "--sizes", "64", "--sweep", "width_mult=1.0"], "state image_size=224,320 there"),
        (["quickstart", "--json", "a.json", "--sweep", "width_mult=1.0"], "give --output"),
        (["quickstart", "--output", "there"], "--output is for --sweep"),
        (["quickstart", str(Path(__file__).parent), "--sweep", "width_mult=1.0"], "is not a run folder"),
    ],
)
def test_bad_input_is_one_sentence(
    words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 1
    error = capsys.readouterr().err.strip().splitlines()
    assert sentence in error[-1] and error[-1].startswith("error: ")
    assert all("building" in line for line in error[:-1])
