"""Covers deploy/predict/pipeline.py, deploy/predict/prediction.py.

The command ``predict`` and ``pocketvision.Predictor``: from a model and pictures to files.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage

import pocketvision
from pocketvision.core.errors import InputError
from pocketvision.core.weights import read_passport, save_weights
from pocketvision.datasets import detect_format, read_image
from pocketvision.deploy.export.to_file import export_model
from pocketvision.deploy.predict.frames import SourceFrame
from pocketvision.deploy.predict.video import VideoFile
from pocketvision.tools.predict import main

NAMES = ("disc", "star")
THRESHOLD = "0.6"


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


def test_labels_to_correct_are_read_back(weights: Path, media: Path, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes((media / "a.png").read_bytes())
    for form in ("cvat", "labelme"):
        output, file = tmp_path / form, tmp_path.with_name(f"{tmp_path.name}_{form}.json")
        arguments = ["--threshold", THRESHOLD, "--format", form, "--output", str(output), "--json", str(file)]
        assert main([str(weights), str(tmp_path / "a.png"), *arguments]) == 0
        (row,) = json.loads(file.read_text())
        records = detect_format(tmp_path, "detection").read("all")
        np.testing.assert_allclose(records.boxes, [found["box"] for found in row["detections"]], atol=0.006)
        shutil.rmtree(output)


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
        (["{checkpoint}", "{media}/a.png", "--output", "o"], "can't be opened as weights"),
        (["{weights}", "{media}/a.png", "--json", "{weights}"], "exists already: choose another --json"),
        (["{weights}", "{media}/a.png", "--json", "{media}/a.png"], "exists already: choose another --json"),
        (["{weights}", "{media}/a.png", "--output", "{media}/a.png"], "is a file: give a folder as --output"),
        (["{weights}", "{media}/a.png", "--output", "o", "--device", "tpu"], "There is no device 'tpu'"),
        (["{weights}", "{media}/a.png", "--output", "o", "--format", "imges"], "Did you mean 'images'"),
        (["{weights}", "{media}/a.png", "--output", "o", "--threshold", "50"], "--threshold is 50"),
        (["{weights}", "{media}/a.png", "--output", "o", "--batch", "0"], "--batch is 0"),
        (["{weights}", "{media}/a.png", "--output", "o", "--tile", "4,4"], "--tile is too small"),
        (["{weights}", "{media}", "--output", "{media}"], "is the folder of the images"),
        (
            ["{weights}", "{media}", "--output", "o", "--format", "cvat"],
            "clip.mp4 is no picture file, and cvat",
        ),
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


def test_without_an_output_there_is_a_new_folder_each_time(
    weights: Path,
    media: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("w", "w_2"):
        assert main([str(weights), str(media / "a.png")]) == 0
        assert f"results: {Path('out', 'predict', name)}" in capsys.readouterr().out
        assert [path.name for path in Path("out", "predict", name).iterdir()] == ["a.png"]


def test_json_on_standard_output_is_json_alone(
    weights: Path,
    media: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([str(weights), str(media / "a.png"), "--json", "-"]) == 0
    said = capsys.readouterr()
    assert [Path(row["image"]).name for row in json.loads(said.out)] == ["a.png"]
    assert "1 image" in said.err and not list(tmp_path.iterdir())


def test_photos_and_older_results_stay_as_they_are(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Into the photos' own folder, twice."""
    photo = tmp_path / "a.png"
    PillowImage.fromarray(np.full((70, 90, 3), 90, np.uint8)).save(photo)
    before = photo.read_bytes()
    for _ in range(2):
        assert main([str(weights), str(photo), "--output", str(tmp_path), "--format", "images,csv"]) == 0
    assert photo.read_bytes() == before
    names = {"a.png", "a_predicted.png", "a_predicted_2.png", "predictions.csv", "predictions_2.csv"}
    assert {path.name for path in tmp_path.iterdir()} == names
    assert "other names than their images, as those were there already: 2" in capsys.readouterr().out


def test_the_best_threshold_of_the_weights_is_used(
    weights: Path, media: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    best = 0.61
    told = tmp_path / "told.safetensors"
    model = pocketvision.load(weights)
    model.best_threshold = best
    passport = {**read_passport(weights), **json.loads(json.dumps(model.passport()))}
    save_weights(told, model, passport)
    assert pocketvision.load(told).passport()["threshold"] == best
    exported = export_model(pocketvision.load(told), "onnx", tmp_path / "told.onnx")
    for file in (told, exported):
        assert pocketvision.Predictor.load(file).threshold == best
        assert pocketvision.Predictor.load(file, threshold=0.2).threshold == 0.2
    assert pocketvision.Predictor.load(weights).threshold == 0.5
    assert main([str(told), str(media / "a.png"), "--json", str(tmp_path / "t.json")]) == 0
    assert "boxes with scores above 0.61" in capsys.readouterr().out
    (row,) = json.loads((tmp_path / "t.json").read_text())
    assert all(found["score"] > best for found in row["detections"])


def test_a_predictor_says_its_classes_and_runs_where_it_is_told(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert pocketvision.Predictor.load(weights).class_names == NAMES
    assert str(pocketvision.Predictor.load(weights, device="cpu").runtime.device) == "cpu"  # type: ignore[attr-defined]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="no device 'cuda'"):
        pocketvision.Predictor.load(weights, device="cuda")
