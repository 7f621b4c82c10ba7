"""Covers deploy/export/calibration_images.py, evaluation/run_data.py.

``export --int8``: where the images come from, the limit, and bad input.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from pocketvision.core.errors import InputError
from pocketvision.core.resize import Resize
from pocketvision.datasets import CocoDataModule
from pocketvision.datasets.even_choice import spread
from pocketvision.datasets.images.read import read_image
from pocketvision.deploy.export.calibration_images import read_calibration_images
from pocketvision.deploy.export.onnxruntime_web import onnxruntime_web_files
from pocketvision.deploy.runtimes.opening import open_runtime
from pocketvision.evaluation.run_data import RunData
from pocketvision.runs.ready_model import load_model
from pocketvision.tools.export import main
from pocketvision.tools.train import main as train

pytestmark = pytest.mark.slow

Tiny = Callable[[str], Path]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, tiny: Tiny) -> Path:
    """A classifier, which is exported fastest, trained for a step."""
    folder = tmp_path_factory.mktemp("int8") / "run"
    small = ["data.batch_size=2", "data.num_workers=0", "model.image_size=(64,64)", "model.width_mult=0.35"]
    command = ["classifier_v2_imagenet", f"data.root={tiny('image_folder')}", *small, "trainer.max_steps=1"]
    assert train([*command, "--run-dir", str(folder)]) == 0
    return folder


def test_a_run_brings_its_own_images_and_score(
    run: Path, tiny: Tiny, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "m.onnx"
    command = [str(run), "--format", "onnx", "--int8", "--max-drop", "0.99", "--output", str(output)]
    assert main(command) == 0, capsys.readouterr().err
    artifact = open_runtime(output).artifact
    num_images = len(list((tiny("image_folder") / "train").rglob("*.JPEG")))
    assert artifact.quantization is not None and artifact.quantization.num_images == num_images
    report = json.loads(output.with_suffix(".sensitivity.json").read_text())
    assert "backbone.stem" in report["errors"] and report["float_blocks"] == []
    assert set(report["scores"]) == {"float32", "int8"}


def test_a_folder_of_images(run: Path, tiny: Tiny, tmp_path: Path) -> None:
    output, weights = tmp_path / "m.xml", run / "weights.safetensors"
    command = [str(weights), "--format", "openvino", "--int8", "--output", str(output), "--num-images", "2"]
    assert main([*command, "--calibration", str(tiny("coco"))]) == 0
    artifact = open_runtime(output).artifact
    assert artifact.quantization is not None and artifact.quantization.num_images == 2


def test_a_web_page(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        onnxruntime_web_files()
    except InputError as error:
        pytest.skip(f"onnxruntime-web can't be had here: {error}")
    page = tmp_path / "page"
    assert main([str(run), "--web", str(page), "--int8", "--num-images", "2"]) == 0, capsys.readouterr().err
    artifact = open_runtime(page / "model.onnx").artifact
    assert artifact.quantization is not None and artifact.batch == 1
    assert json.loads((page / "model.json").read_text())["int8"]
    assert (page / "model.sensitivity.json").exists()


def test_calibration_sees_what_training_sees(run: Path) -> None:
    model = load_model(run)
    data = RunData(run, model)
    images = data.calibration_images(3)
    paths = data.data.records(data.data.train_split).image_paths
    expected = [model.resize.apply(read_image(paths[i])) for i in spread(len(paths), 3)]
    assert images.dtype == torch.uint8
    np.testing.assert_array_equal(images.permute(0, 2, 3, 1).numpy(), np.stack(expected))


def test_images_with_objects_come_first(run: Path, tiny: Tiny) -> None:
    data = RunData(run, load_model(run))
    boxes = CocoDataModule(tiny("coco"), num_workers=0)
    boxes.connect(boxes.class_names(), Resize((32, 48)))
    records = boxes.records("train")
    data.data = boxes
    with_boxes = np.flatnonzero(np.diff(records.offsets) > 0).tolist()
    assert 0 < len(with_boxes) < len(records)
    images = data.calibration_images(len(with_boxes))
    expected = torch.stack([boxes.dataset("train", train=False)[i][0] for i in with_boxes])
    assert torch.equal(images, expected)
    assert len(data.calibration_images(1000)) == len(records)


def test_missing_data_are_noticed_before_anything_is_measured(
    run: Path, tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def measured(*arguments: object) -> None:
        raise AssertionError("it was measured")

    monkeypatch.setattr("pocketvision.deploy.export.to_int8.export_int8", measured)
    output = ["--format", "onnx", "--int8", "--max-drop", "0.1", "--output", str(tmp_path / "m.onnx")]
    assert main([str(run), "data.root=/no/data", *output, "--calibration", str(tiny("coco"))]) == 1
    assert "/no/data" in capsys.readouterr().err.strip().splitlines()[-1]


@pytest.mark.parametrize("count", [1, 3, 7, 8])
def test_a_folder_is_seen_from_its_beginning_to_its_end(tiny: Tiny, count: int) -> None:
    folder, resize = tiny("coco") / "train", Resize((32, 48))
    paths = sorted(folder.rglob("*.jpg"))
    images = read_calibration_images(folder, resize, count)
    chosen = [paths[i] for i in spread(len(paths), count)]
    expected = np.stack([resize.apply(read_image(str(path))) for path in chosen])
    np.testing.assert_array_equal(images.permute(0, 2, 3, 1).numpy(), expected)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--int8", "--num-images", "0"], "--num-images is 0"),
        (["--int8", "--max-drop", "1"], "--max-drop is 1: give a share"),
        (["--max-drop", "0.1"], "--max-drop is for --int8"),
        (["--calibration", "x"], "--calibration is for --int8"),
        (["--int8", "--calibration", "no/such"], "no/such"),
        (["--int8"], "does not say where its images are: give its run folder instead, or some images with"),
        (["--int8", "--calibration", ".", "--max-drop", "0.1"], "--calibration FOLDER and no --max-drop"),
    ],
)
def test_bad_input(
    run: Path, tmp_path: Path, arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [str(run / "weights.safetensors"), "--format", "onnx", "--output", str(tmp_path / "m.onnx")]
    assert main([*command, *arguments]) == 1
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert message.startswith("error: ") and sentence in message
    assert not list(tmp_path.iterdir())
