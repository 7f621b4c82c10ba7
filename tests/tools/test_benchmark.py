"""Covers deploy/benchmark/latency.py, deploy/benchmark/peak_memory.py, deploy/benchmark/sharing.py,
deploy/benchmark/sizes.py, deploy/benchmark/summary.py.

The command ``benchmark``: what is measured, written and picked.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
import torch

from pocketvision.backbones import mobilenet_v3_small
from pocketvision.core.resize import Resize
from pocketvision.deploy.benchmark.latency import Measurement, Subject, benchmark
from pocketvision.deploy.benchmark.sizes import at_sizes
from pocketvision.deploy.benchmark.summary import benchmark_picture, benchmark_table
from pocketvision.deploy.export.to_file import export_model
from pocketvision.deploy.formats import ExportOptions
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
        assert 0 < row.median <= row.p90 and row.cold_start > 0 and row.num_calls == 5
        assert row.images_per_second == pytest.approx(row.batch_size / row.median)
    medians = {(row.name, row.batch_size): row.median for row in rows}
    assert medians["large", 4] > medians["small", 1], "4 times 64 as many pixels"
    assert {row.num_bytes for row in rows if row.name == "small"} == {artifact.stat().st_size}


def test_table_json_and_picture(artifact: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--rounds", "3", "--threads", "1", "--no-memory", "--budget", "10s"]
    files = ["--json", str(tmp_path / "b.json"), "--picture", str(tmp_path / "b.png")]
    assert main([str(artifact), *options, *files]) == 0
    text = capsys.readouterr().out
    assert "images/s" in text and f"fits 10000 ms: {artifact} on onnx" in text
    assert "at 32x32" in text
    (row,) = json.loads((tmp_path / "b.json").read_text())
    assert row["image_size"] == [32, 32] and row["median"] <= row["p90"] and row["peak_memory"] is None
    assert (tmp_path / "b.png").read_bytes().startswith(b"\x89PNG")
    assert main([str(artifact), *options[:-1], "0.0001ms"]) == 0
    assert "nothing fits" in capsys.readouterr().out


def test_time_may_end_the_rounds(tmp_path: Path, artifact: Path) -> None:
    (row,) = benchmark([Subject("small", artifact)], (), (1,), (1,), 50, tmp_path, seconds=0.0)
    assert row.num_calls == 3


def test_models_of_one_name_stay_apart(tmp_path: Path) -> None:
    subjects = [Subject("same", classifier(side)) for side in (32, 64)]
    rows = benchmark(subjects, ("pt2",), (1,), (1,), 1, tmp_path)
    assert [row.image_size for row in rows] == [(32, 32), (64, 64)]


def test_what_sharing_saves_is_said_for_every_setting(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--sizes", "64,96", "--rounds", "2", "--threads", "1", "--no-memory", "--budget", "100s"]
    assert main(["street_v2", "--backends", "torch", *options, "--json", str(tmp_path / "b.json")]) == 0
    said = capsys.readouterr().out
    medians = {
        (row["name"], row["image_size"][0]): row["median"] * 1e3
        for row in json.loads((tmp_path / "b.json").read_text())
    }
    assert len(medians) == 3 * 2
    for side in (64, 96):
        one, boxes, street = (
            medians[name, side]
            for name in ("street_v2", "street_v2: detection alone", "street_v2: segmentation alone")
        )
        assert (
            f"street_v2 on torch, threads 1, batch 1, {side}x{side}: one forward pass for all "
            f"{one:.1f} ms, {one / (boxes + street):.2f} of detection alone {boxes:.1f} ms + segmentation "
            f"alone {street:.1f} ms"
        ) in said
    assert "fits 100000 ms: street_v2 on" in said, "a part is none of the models that were named"


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="peak memory is read from Linux's /proc")
def test_memory_grows_with_the_batch(tmp_path: Path, artifact: Path) -> None:
    """The input alone, as float32, is 3 * 4 bytes a pixel."""
    subjects = [Subject("large", classifier(256))]
    rows = benchmark(subjects, ("torch",), (1,), (1, 32), 1, tmp_path, with_memory=True)
    small, large = (row.peak_memory for row in rows)
    assert small is not None and large is not None and large - small > 31 * 256 * 256 * 3 * 4
    table = benchmark_table(rows)
    assert f"{large / 1e6:.0f}" in table.splitlines()[2] and "memory is what a fresh process adds" in table
    benchmark_picture(rows, tmp_path / "b.svg")
    assert f"{large / 1e6:.0f} MB" in (tmp_path / "b.svg").read_text()


@pytest.mark.slow
def test_sizes_make_models_anew_and_skip_files_of_another_size(
    tmp_path: Path, artifact: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--sizes", "64,32x96", "--rounds", "1", "--threads", "1", "--no-memory"]
    options += ["--json", str(tmp_path / "b.json")]
    assert main(["quickstart", str(artifact), "--backends", "torch,onnx", *options]) == 0
    said = capsys.readouterr().out
    assert f"skipped: {artifact} takes 32x32 only, not 64x64" in said and "not 32x96" in said
    rows = json.loads((tmp_path / "b.json").read_text())
    found = {(row["name"], row["backend"], *row["image_size"]) for row in rows}
    assert found == {
        ("quickstart", backend, *size) for backend in ("torch", "onnx") for size in ((64, 64), (32, 96))
    }
    (tmp_path / "b.json").unlink()
    assert main([str(artifact), "--sizes", "64", *options[2:]]) == 1
    assert "error: Nothing here takes images of 64x64" in capsys.readouterr().err


def test_a_file_of_any_size_is_measured_at_each(tmp_path: Path) -> None:
    model = classifier(64)
    path = export_model(model, "onnx", tmp_path / "any.onnx", ExportOptions(dynamic_size=True))
    said: list[str] = []
    subjects = at_sizes([Subject("any", path), Subject("model", model)], [(48, 80), (96, 96)], said.append)
    rows = benchmark(subjects, ("torch",), (1,), (1,), 1, tmp_path)
    assert [(row.name, row.image_size) for row in rows] == [
        (name, size) for name in ("any", "model") for size in ((48, 80), (96, 96))
    ]
    assert not said and model.resize.image_size == (64, 64), "the model itself stays as it is"


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
        (["quickstart", "--sizes", "320x"], "give sides from 32, as 224,320x480"),
        (["quickstart", "--sizes", "320,16"], "give sides from 32"),
        (["quickstart", "--rounds", "0"], "give a number from 1"),
    ],
)
def test_bad_input_is_one_sentence(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert sentence in error and error.startswith("error: ") and len(error.strip().splitlines()) == 1


def test_formats_whose_weights_have_one_suffix_stay_apart(tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    pytest.importorskip("pnnx")
    rows = benchmark([Subject("one", classifier(32))], ("openvino", "ncnn"), (1,), (1,), 1, tmp_path)
    assert [row.backend for row in rows] == ["openvino", "ncnn"]
