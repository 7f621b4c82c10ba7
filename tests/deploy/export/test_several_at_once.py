"""Covers deploy/export/to_client.py, deploy/export/to_int8.py, evaluation/run_data.py.

A model of two tasks in int8, with the scores of both, and as a folder that runs without PyTorch.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from pocketvision.configs import street_v2
from pocketvision.core.command import find_config
from pocketvision.core.errors import InputError
from pocketvision.core.weights import save_weights
from pocketvision.deploy.export.to_client import program, sections, write_client
from pocketvision.deploy.export.to_file import export_model
from pocketvision.deploy.export.to_int8 import Limit, export_int8
from pocketvision.deploy.formats import CLIENT_FORMATS, ExportOptions
from pocketvision.deploy.predict.joint_prediction import JointPrediction
from pocketvision.deploy.predict.predictor import Predictor
from pocketvision.deploy.runtimes.opening import open_runtime
from pocketvision.deploy.runtimes.torch_module import TorchRuntime
from pocketvision.evaluation.run_data import RunData
from pocketvision.models import JointModel
from pocketvision.runs.passport import make_passport
from pocketvision.tools.export import main as export

pytestmark = pytest.mark.slow

IMAGES = torch.randint(0, 256, (3, 3, 64, 96), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def words(tiny: Callable[[str], Path], street: JointModel) -> list[str]:
    """Overrides of the config: where both data sets lie, and their classes."""
    return [
        "data.batch_size=2", "data.num_workers=0", "model.image_size=(64,96)", "model.weights=None",
        f"class_names={street.class_names}", "data.parts.segmentation.ignore_ids=()",
        f"data.parts.detection.root={tiny('coco')}", f"data.parts.segmentation.root={tiny('masks')}",
        "task.tasks.segmentation.loss.class_weights=None",
    ]  # fmt: skip


def test_ranges_are_of_both_data_sets_and_each_task_has_its_score(
    street: JointModel, words: list[str]
) -> None:
    data = RunData(find_config("street_v2"), street, words)
    data.look()
    images = data.calibration_images(4)
    parts = data.data.parts  # type: ignore[attr-defined]
    for part, own in zip(parts.values(), images.split(2), strict=True):
        samples = part.dataset(part.train_split, train=False)
        assert all(any(torch.equal(image, samples[i][0]) for i in range(len(samples))) for image in own)
    assert list(data.scores(street)) == ["AP", "mIoU"]


def test_int8_by_the_command(street: JointModel, words: list[str], tmp_path: Path) -> None:
    weights, output = tmp_path / "street.safetensors", tmp_path / "street.onnx"
    built = replace(street_v2.config, model=partial(street_v2.model, image_size=(64, 96)))
    save_weights(weights, street, make_passport(street, built))
    command = ["street_v2", "--weights", str(weights), "--format", "onnx", "--output", str(output), *words]
    assert export([*command, "--int8", "--num-images", "4", "--max-drop", "0.9"]) == 0
    runtime = open_runtime(output)
    artifact = runtime.artifact
    assert artifact.quantization is not None and artifact.quantization.num_images == 4
    assert all(part.quantization == artifact.quantization for part in artifact.parts)
    report = json.loads(output.with_suffix(".sensitivity.json").read_text())
    assert {task: set(scores) for task, scores in report["scores"].items()} == {
        "AP": {"float32", "int8"}, "mIoU": {"float32", "int8"},
    }  # fmt: skip
    heads = [block for block in report["errors"] if block.startswith("parts.")]
    assert {block.split(".")[1] for block in heads} == {"detection", "segmentation"}
    assert "backbone.stem" in report["errors"]
    expected = TorchRuntime(street)(IMAGES)["segmentation_logits"]
    difference = (runtime(IMAGES)["segmentation_logits"] - expected).square().mean().sqrt()
    assert difference < 0.5 * expected.std()


@pytest.mark.parametrize("fallen", ["AP", "mIoU"])
def test_the_limit_is_for_each_metric(fallen: str, street: JointModel, tmp_path: Path) -> None:
    scores = iter([{"AP": 0.3, "mIoU": 0.6}, *[{"AP": 0.3, "mIoU": 0.6} | {fallen: 0.25}] * 50])
    with pytest.raises(InputError, match=r"int8 loses 0\.\d+ with up to .* and 0\.01 is asked for"):
        limit = Limit(lambda file: next(scores), 0.01)
        export_int8(street, "onnx", tmp_path / "m.onnx", IMAGES[:1], ExportOptions(), limit)
    assert not list(tmp_path.iterdir())


def test_int8_for_openvino(street: JointModel, tmp_path: Path) -> None:
    path = export_int8(street, "openvino", tmp_path / "m.xml", IMAGES, ExportOptions())
    expected, found = TorchRuntime(street)(IMAGES), open_runtime(path)(IMAGES)
    assert tuple(found) == tuple(expected)
    name = "segmentation_logits"
    assert (found[name] - expected[name]).square().mean().sqrt() < 0.5 * expected[name].std()


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("photos")
    paths = [folder / "0.png", folder / "1.png"]
    for seed, path in enumerate(paths):
        small = np.random.default_rng(seed).integers(0, 256, (4, 6, 3), dtype=np.uint8)
        cv2.imwrite(str(path), cv2.resize(small, (120, 90 + seed), interpolation=cv2.INTER_CUBIC))
    return paths


@pytest.mark.parametrize("format", ["onnx", "openvino", "ncnn"])
def test_a_client_says_what_predictor_says(
    format: str, street: JointModel, photos: list[Path], tmp_path: Path, run_client: Callable[..., list[dict]]
) -> None:
    pytest.importorskip({"onnx": "onnxruntime"}.get(format, format))
    suffix = {of: name for name, of in CLIENT_FORMATS.items()}[format]
    path = export_model(street, format, tmp_path / f"street{suffix}")
    client = write_client(path)
    masks = tmp_path / "masks"
    found = run_client(client, *map(str, photos), "--threshold", "0.3", "--masks", str(masks))
    for got, expected in zip(found, Predictor.load(path, threshold=0.3).predict(photos), strict=True):
        assert isinstance(expected, JointPrediction)
        plain = expected.to_dict()
        assert got["size"] == plain["size"] and len(got["detections"]) == len(plain["detections"]) > 0
        for row, wanted in zip(got["detections"], plain["detections"], strict=True):
            assert row["name"] == wanted["name"] and row["score"] == pytest.approx(wanted["score"], abs=1e-4)
            np.testing.assert_allclose(row["box"], wanted["box"], atol=1e-2)
        assert {row["name"] for row in got["classes"]} == {row["name"] for row in plain["classes"]}
        mask = np.asarray(Image.open(masks / f"{Path(got['image']).stem}.png"))
        assert (mask == expected.label_map).mean() > 0.999


@pytest.mark.parametrize("format", CLIENT_FORMATS.values())
def test_its_program_is_tidy(format: str, street: JointModel, tmp_path: Path) -> None:
    from pocketvision.deploy.runtimes.described import describe

    file = tmp_path / "it.py"
    file.write_text(program(sections(format, describe(street)), "m.file"))
    settings = ["--config", str(Path(__file__).parents[3] / "pyproject.toml"), "--no-cache"]
    for command in (["check", "--ignore", "INP"], ["format", "--check"]):
        ruff = [sys.executable, "-m", "ruff", *command, *settings, str(file)]
        done = subprocess.run(ruff, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-3000:]
