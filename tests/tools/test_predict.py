"""Covers deploy/predict/pipeline.py, deploy/predict/prediction.py.

The command ``predict`` and ``pocketvision.Predictor``: from a model and pictures to files.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage

import pocketvision
from pocketvision.configs.quickstart import config, model
from pocketvision.core.weights import save_weights
from pocketvision.datasets import read_image
from pocketvision.deploy.predict.frames import SourceFrame
from pocketvision.deploy.predict.video import VideoFile
from pocketvision.runs.passport import make_passport
from pocketvision.tools.predict import main

NAMES = ("disc", "star")
THRESHOLD = "0.6"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weights file that says how to build its model; its scores differ."""
    torch.manual_seed(0)
    experiment = replace(config, model=partial(model, image_size=(64, 64), width_mult=0.35))
    detector = experiment.model(NAMES)
    for block in detector.head.class_blocks:
        block[1].weight.data *= 20_000
    path = tmp_path_factory.mktemp("weights") / "w.safetensors"
    save_weights(path, detector, make_passport(detector, experiment))
    return path


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three pictures, one of them broken, and a video."""
    root = tmp_path_factory.mktemp("media")
    generator = np.random.default_rng(0)
    for name in ("a.png", "b.png"):
        PillowImage.fromarray(generator.integers(0, 256, (70, 90, 3), dtype=np.uint8)).save(root / name)
    (root / "broken.jpg").write_bytes(b"\xff\xd8 no picture")
    with VideoFile(root, "clip", 10.0, (70, 90)) as video:
        for _ in range(4):
            video.add(generator.integers(0, 256, (70, 90, 3), dtype=np.uint8))
    return root


def test_a_folder_becomes_files(
    weights: Path, media: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output, file = tmp_path / "out", tmp_path / "all.json"
    arguments = ["--output", str(output), "--json", str(file), "--threshold", THRESHOLD, "--batch", "2"]
    code = main(
        [str(weights), str(media), *arguments, "--format", "images,coco,csv,yolo", "--max-frames", "3"]
    )
    said = capsys.readouterr()
    assert code == 0, said.err
    assert {path.name for path in output.iterdir()} == {
        "a.png", "b.png", "clip.mp4", "predictions.json", "predictions.csv", "labels", "classes.txt",
    }  # fmt: skip
    rows = json.loads(file.read_text())
    assert [Path(row["image"]).name for row in rows] == ["a.png", "b.png"] + ["clip.mp4"] * 3
    assert f"skipped: {media / 'broken.jpg'}" in said.err
    found = sum(len(row["detections"]) for row in rows)
    assert f"5 images, {found} detections, 1 failed in " in said.out and "images/s" in said.out and found
    assert all(detection["score"] > float(THRESHOLD) for row in rows for detection in row["detections"])
    # Three lines of Python say the same.
    predictor = pocketvision.Predictor.load(weights, threshold=float(THRESHOLD))
    assert predictor(media / "a.png").to_dict() == rows[0]


def test_tiles(weights: Path, media: Path, tmp_path: Path) -> None:
    file = tmp_path / "t.json"
    arguments = ["--tile", "48,64", "--overlap", "0.3", "--json", str(file), "--threshold", "0"]
    assert main([str(weights), str(media / "a.png"), *arguments]) == 0
    (row,) = json.loads(file.read_text())
    boxes = np.array([detection["box"] for detection in row["detections"]])
    assert boxes.min() >= 0 and (boxes.max(axis=0) <= [90, 70, 90, 70]).all() and boxes[:, 0].max() > 64


def test_nothing_worked(
    weights: Path, media: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    assert main([str(weights), str(media / "broken.jpg"), "97", "--output", str(output)]) == 1
    said = capsys.readouterr().err
    assert "skipped: Camera 97 can't be opened" in said and "broken.jpg is truncated or broken" in said
    assert said.strip().splitlines()[-1] == "error: None of 2 images and videos could be read."


def test_ctrl_c_keeps_what_was_seen(
    weights: Path,
    media: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def stopping(sources: list[object], *_: object) -> object:
        yield SourceFrame(sources[0], read_image(str(media / "a.png")))  # type: ignore[arg-type]
        raise KeyboardInterrupt

    monkeypatch.setattr("pocketvision.deploy.predict.pipeline.read_frames", stopping)
    file = tmp_path / "all.json"
    assert main([str(weights), str(media), "--json", str(file)]) == 0
    assert len(json.loads(file.read_text())) == 1 and "stopped" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["w.safetensors", "no.jpg", "--output", "o"], "no image, video or folder no.jpg"),
        (
            ["no/run", "{media}/a.png", "--output", "o"],
            "no run folder, weights file or exported model no/run",
        ),
        (["{media}/a.png", "{media}/a.png", "--output", "o"], "is no model that can be run here"),
        (["{other}", "{media}/a.png", "--output", "o"], "was not exported by pocketvision"),
        (["{text}", "{media}/a.png", "--output", "o"], "can't be opened"),
        (["{checkpoint}", "{media}/a.png", "--output", "o"], "convert it with 'pocketvision import-weights'"),
        (["{weights}", "{media}/a.png"], "--output DIR, --json FILE, or both"),
        (["{weights}", "{media}/a.png", "--output", "o", "--format", "imges"], "Did you mean 'images'"),
        (["{weights}", "{media}/a.png", "--output", "o", "--threshold", "50"], "--threshold is 50"),
        (["{weights}", "{media}/a.png", "--output", "o", "--batch", "0"], "--batch is 0"),
        (["{weights}", "{media}/a.png", "--output", "o", "--tile", "4,4"], "--tile is too small"),
        (["{weights}", "{media}", "--output", "{media}"], "is the folder of the images"),
    ],
)
def test_bad_input_is_one_sentence(
    arguments: list[str], sentence: str, weights: Path, media: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    import onnx

    monkeypatch.chdir(tmp_path)
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    graph = onnx.helper.make_graph([onnx.helper.make_node("Identity", ["x"], ["y"])], "g", [value], [
        onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])
    ])  # fmt: skip
    onnx.save(
        onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8),
        "o.onnx",
    )
    Path("text.onnx").write_text("no model")
    Path("other.pth").write_bytes(b"x")
    places = {
        "media": media,
        "weights": weights,
        "other": "o.onnx",
        "text": "text.onnx",
        "checkpoint": "other.pth",
    }
    capsys.readouterr()
    assert main([argument.format(**places) for argument in arguments]) == 1
    error = capsys.readouterr().err
    assert sentence in error and error.startswith("error: ") and len(error.strip().splitlines()) == 1
    assert not Path("o").exists()


def test_a_missing_backend_says_what_to_install(
    media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "m.onnx").write_bytes(b"x")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert main([str(tmp_path / "m.onnx"), str(media / "a.png"), "--output", str(tmp_path / "o")]) == 1
    assert 'pip install "pocketvision[export]"' in capsys.readouterr().err


def test_a_format_that_does_not_fit_the_task(
    weights: Path, media: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "o"
    assert main([str(weights), str(media / "a.png"), "--output", str(output), "--format", "masks"]) == 1
    assert "error: masks can't hold what a model for detection says" in capsys.readouterr().err
    assert not output.exists()
