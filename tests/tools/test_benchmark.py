"""The command ``benchmark``: what is measured, written and picked."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
import torch

from pocketvision.backbones import mobilenet_v3_small
from pocketvision.core.resize import Resize
from pocketvision.deploy.benchmark import Measurement, Subject, benchmark
from pocketvision.deploy.export import export_model
from pocketvision.heads import ClassifierHead
from pocketvision.models import Classifier
from pocketvision.tools.benchmark import _pick, main


def classifier(side: int) -> Classifier:
    backbone = mobilenet_v3_small(width_mult=0.35, out_features=("c2",))
    return Classifier(
        backbone, partial(ClassifierHead, feature="c2"), ("a", "b"), Resize((side, side))
    ).eval()


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_model(classifier(32), "onnx", tmp_path_factory.mktemp("exported") / "small.onnx")


def test_every_combination_has_its_turn(tmp_path: Path, artifact: Path) -> None:
    threads = torch.get_num_threads()
    subjects = [Subject("large", classifier(256)), Subject("small", artifact)]
    rows = benchmark(subjects, ("torch",), (1,), (1, 4), 5, tmp_path)
    found = {(row.name, row.backend, row.batch_size) for row in rows}
    assert found == {
        (name, form, n) for name, form in (("large", "torch"), ("small", "onnx")) for n in (1, 4)
    }
    assert torch.get_num_threads() == threads
    for row in rows:
        assert 0 < row.median <= row.p90 and row.cold_start > 0
        assert row.images_per_second == pytest.approx(row.batch_size / row.median)
    medians = {(row.name, row.batch_size): row.median for row in rows}
    assert medians["large", 4] > medians["small", 1], "4 times 64 as many pixels"
    assert {row.num_bytes for row in rows if row.name == "small"} == {artifact.stat().st_size}


def test_table_json_and_picture(artifact: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--rounds", "3", "--threads", "1", "--budget", "10s"]
    files = ["--json", str(tmp_path / "b.json"), "--picture", str(tmp_path / "b.png")]
    assert main([str(artifact), *options, *files]) == 0
    text = capsys.readouterr().out
    assert "images/s" in text and f"fits 10000 ms: {artifact} on onnx" in text
    (row,) = json.loads((tmp_path / "b.json").read_text())
    assert row["image_size"] == [32, 32] and row["median"] <= row["p90"]
    assert (tmp_path / "b.png").read_bytes().startswith(b"\x89PNG")
    assert main([str(artifact), *options[:-1], "0.0001ms"]) == 0
    assert "nothing fits" in capsys.readouterr().out


def test_models_of_one_name_stay_apart(tmp_path: Path) -> None:
    subjects = [Subject("same", classifier(side)) for side in (32, 64)]
    rows = benchmark(subjects, ("pt2",), (1,), (1,), 1, tmp_path)
    assert [row.image_size for row in rows] == [(32, 32), (64, 64)]


def test_the_pick_is_by_latency_at_any_batch_size() -> None:
    def row(name: str, batch_size: int, median: float) -> Measurement:
        return Measurement(name, "torch", 1, batch_size, (32, 32), 1.0, median, median, None)

    rows = [row("small", 4, 0.020), row("small", 1, 0.006), row("large", 4, 0.030), row("large", 1, 0.009)]
    assert "large on torch, 9.0 ms" in _pick(rows, 0.010)
    assert "small on torch, 6.0 ms" in _pick(rows, 0.008)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "Say what to measure"),
        (["quickstar"], "Did you mean 'quickstart'"),
        (["no.onnx"], "no exported model no.onnx"),
        (["quickstart", "--backends", "torch,tensorrt"], "no backend 'tensorrt'"),
        (["quickstart", "--threads", "0"], "give numbers from 1"),
        (["quickstart", "--budget", "15"], "as 15ms"),
        (["quickstart", "--rounds", "0"], "give a number from 1"),
    ],
)
def test_bad_input_is_one_sentence(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert sentence in error and error.startswith("error: ") and len(error.strip().splitlines()) == 1
