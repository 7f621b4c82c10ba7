"""Covers deploy/certificate/several.py, deploy/predict/in_tiles.py, deploy/predict/interpret.py,
deploy/predict/joint_prediction.py, deploy/runtimes/part.py.

A model of two tasks on its way to a device: one ONNX file with the outputs of both, and what reads it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from pocketvision.configs import street_v2
from pocketvision.core.errors import InputError
from pocketvision.core.resize import Tiling
from pocketvision.core.structures import names_by_task
from pocketvision.core.weights import save_weights
from pocketvision.deploy.certificate.several import (
    certify_parts,
    images_of_parts,
    write_parts,
    write_parts_page,
)
from pocketvision.deploy.export.to_file import export_model, plan_artifact
from pocketvision.deploy.formats import ExportOptions
from pocketvision.deploy.predict.joint_prediction import JointPrediction
from pocketvision.deploy.predict.predictor import Predictor
from pocketvision.deploy.runtimes.artifact import Artifact
from pocketvision.deploy.runtimes.exported_models import predictor_of
from pocketvision.deploy.runtimes.opening import open_runtime
from pocketvision.deploy.runtimes.part import PartRuntime
from pocketvision.deploy.runtimes.torch_module import TorchRuntime
from pocketvision.models import Detector, JointModel
from pocketvision.runs.passport import make_passport
from pocketvision.tools.export import main as export
from pocketvision.tools.predict import main as predict

pytestmark = pytest.mark.slow

OUTPUTS = ("detection_class_logits", "detection_box_deltas", "segmentation_logits")


@pytest.fixture(scope="module")
def model(as_trained: Callable[[nn.Module], nn.Module]) -> JointModel:
    torch.manual_seed(0)
    made = as_trained(street_v2.model(street_v2.config.class_names or (), image_size=(64, 96), weights=None))
    assert isinstance(made, JointModel)
    return made


@pytest.fixture(scope="module")
def file(model: JointModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_model(model, "onnx", tmp_path_factory.mktemp("joint") / "street.onnx")


@pytest.mark.parametrize(("format", "suffix"), [("openvino", ".xml"), ("pt2", ".pt2")])
def test_other_formats_answer_alike(format: str, suffix: str, model: JointModel, tmp_path: Path) -> None:
    images = torch.randint(0, 256, (2, 3, 64, 96), dtype=torch.uint8)
    found = open_runtime(export_model(model, format, tmp_path / f"street{suffix}"))(images)
    assert tuple(found) == OUTPUTS
    for name, expected in TorchRuntime(model)(images).items():
        torch.testing.assert_close(found[name], expected, atol=1e-3, rtol=1e-3)


@pytest.fixture(scope="module")
def weights(model: JointModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "street.safetensors"
    built = replace(street_v2.config, model=partial(street_v2.model, image_size=(64, 96)))
    save_weights(path, model, make_passport(model, built))
    return path


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for seed in range(2):
        small = np.random.default_rng(seed).integers(0, 256, (4, 6, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{seed}.png"), cv2.resize(small, (120, 90), interpolation=cv2.INTER_CUBIC))
    return folder


def test_one_file_has_the_named_outputs_of_both(model: JointModel, file: Path) -> None:
    runtime = open_runtime(file)
    artifact = runtime.artifact
    assert artifact.task == "joint" and artifact.outputs == OUTPUTS
    assert [part.task for part in artifact.parts] == list(model.tasks)
    assert artifact == Artifact.from_json(artifact.to_json(), "it")
    images = torch.randint(0, 256, (3, 3, 64, 96), dtype=torch.uint8)
    with torch.no_grad():
        expected: Any = model(images)
    found = runtime(images)
    values = *expected["detection"][:2], expected["segmentation"]
    for name, value in zip(OUTPUTS, values, strict=True):
        torch.testing.assert_close(found[name], value, atol=1e-3, rtol=0)


def test_every_part_predicts_as_the_model_of_its_task(model: JointModel, file: Path) -> None:
    runtime, images = open_runtime(file), torch.randint(0, 256, (2, 3, 64, 96), dtype=torch.uint8)
    exported: Any = predictor_of(runtime)
    boxes, street = model.part("detection"), model.part("segmentation")
    assert isinstance(boxes, Detector)
    torch.testing.assert_close(
        exported.part("detection").predict(images).scores, boxes.predict(images).scores, atol=1e-4, rtol=0
    )
    sizes = [(50, 70), (64, 96)]
    for ours, theirs in zip(
        street.predict(images, sizes),
        exported.part("segmentation").predict(images, sizes),
        strict=True,  # type: ignore[call-arg]
    ):
        assert (ours == theirs).float().mean() > 0.999
    assert PartRuntime(runtime, "detection").artifact.class_names == boxes.class_names


def test_predict_says_what_both_say(weights: Path, file: Path, photos: Path, tmp_path: Path) -> None:
    results = []
    for source in (weights, file):
        output, table = tmp_path / source.suffix[1:], tmp_path / f"{source.suffix[1:]}.json"
        words = [str(source), str(photos), "--output", str(output), "--json", str(table)]
        assert predict([*words, "--threshold", "0.3", "--format", "images,coco,yolo,masks"]) == 0
        results.append(json.loads(table.read_text()))
        assert {path.name for path in output.iterdir()} == {
            "0.png", "1.png", "predictions.json", "classes.txt", "labels", "masks",
        }  # fmt: skip
        categories = json.loads((output / "predictions.json").read_text())["categories"]
        assert [row["name"] for row in categories] == list(street_v2.STREET_NAMES)
    for ours, theirs in zip(*results, strict=True):
        assert ours["task"] == "joint" and ours["size"] == [90, 120]
        assert [row["label"] for row in ours["classes"]] == [row["label"] for row in theirs["classes"]]
        assert len(ours["detections"]) == len(theirs["detections"]) > 0
    assert predict([str(file), str(photos), "--output", str(tmp_path / "csv"), "--format", "csv"]) == 1


def test_a_picture_has_the_boxes_over_the_map(file: Path, photos: Path) -> None:
    prediction = Predictor.load(file, threshold=0.3)(photos / "0.png")
    assert isinstance(prediction, JointPrediction)
    parts = prediction.parts
    over = replace(parts["detection"], image=parts["segmentation"].draw()).draw()
    assert np.array_equal(prediction.draw(), over)
    assert prediction.boxes is parts["detection"].boxes
    assert prediction.label_map is parts["segmentation"].label_map
    assert len(prediction) == len(parts["detection"]) + len(parts["segmentation"]) == len(prediction.names)
    assert all(name.split("/")[0] in names_by_task(prediction.class_names) for name in prediction.names)
    for name in ("numpy", "df", "supervision", "fiftyone", "fiftyone_dict", "coco"):
        with pytest.raises(InputError, match=rf"parts\['detection'\].to_{name}"):
            getattr(prediction, f"to_{name}")()


def test_boxes_may_be_final_in_the_graph(model: JointModel, file: Path, photos: Path, tmp_path: Path) -> None:
    whole = export_model(model, "onnx", tmp_path / "final.onnx", ExportOptions(nms=True))
    artifact = open_runtime(whole).artifact
    assert artifact.has_nms and artifact.outputs[3:] == ("detection_num_detections", "segmentation_logits")
    images = sorted(photos.iterdir())
    raw, final = (Predictor.load(path, threshold=0.3).predict(images) for path in (file, whole))
    for one, other in zip(raw, final, strict=True):
        assert one.boxes is not None and other.boxes is not None and len(one.boxes) == len(other.boxes) > 0
        np.testing.assert_allclose(other.boxes, one.boxes, atol=1e-2)
        assert np.array_equal(other.label_map, one.label_map)  # type: ignore[arg-type]


def test_in_tiles_each_part_is_what_it_is_alone(
    model: JointModel, file: Path, photos: Path, tmp_path: Path
) -> None:
    runtime, tiling = TorchRuntime(model), Tiling((48, 64), 0.25, adds_whole=True)
    photo = np.random.default_rng(0).integers(0, 256, (100, 150, 3), dtype=np.uint8)
    found = Predictor(runtime, 0.3, batch_size=3, tiling=tiling)(photo)
    assert isinstance(found, JointPrediction)
    for task, part in found.parts.items():
        alone = Predictor(PartRuntime(runtime, task), 0.3, batch_size=3, tiling=tiling)(photo)
        for name in ("boxes", "scores", "labels", "label_map"):
            np.testing.assert_equal(getattr(part, name), getattr(alone, name))
    assert found.boxes is not None and found.label_map is not None
    assert len(found.boxes) and found.label_map.shape == (100, 150)
    words = ["--tile", "32,48", "--threshold", "0.3", "--output", str(tmp_path / "found")]
    assert predict([str(file), str(photos), *words]) == 0


def test_the_certificate_is_of_every_part(
    model: JointModel, file: Path, photos: Path, tmp_path: Path
) -> None:
    images = images_of_parts(photos, plan_artifact(model, ExportOptions()))
    certificate = certify_parts(model, file, images)
    assert certificate.passed and certificate.verdict.count("says what PyTorch says on 2 images") == 2
    write_parts(certificate, tmp_path / "it.json")
    write_parts_page(certificate, tmp_path / "it.html")
    facts = json.loads((tmp_path / "it.json").read_text())
    assert facts["passed"] and list(facts["parts"]) == ["detection", "segmentation"]
    assert all(stage["max_abs"] is not None for stage in facts["parts"]["segmentation"]["stages"][:4])
    assert "Segmentation: Stages" in (tmp_path / "it.html").read_text()
    spoiled = street_v2.model(model.class_names, image_size=(64, 96), weights=None).eval()
    spoiled.load_state_dict(model.state_dict())
    with torch.no_grad():
        spoiled.part("segmentation").head.high_logits.bias += 1  # type: ignore[union-attr, operator]
    differs = certify_parts(spoiled, file, images)
    assert not differs.passed and differs.parts["detection"].passed
    assert not differs.parts["segmentation"].passed


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--labels"], "logits of its map"), (["--size", "dynamic"], "one image size"),
    ],
)  # fmt: skip
def test_what_it_can_not_become_yet(
    weights: Path, words: list[str], named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "x.onnx"
    assert export([str(weights), "--format", "onnx", "--output", str(output), *words]) == 1
    error = capsys.readouterr().err
    assert named in error and error.count("error:") == 1 and not output.exists()


@pytest.mark.parametrize("broken", ["parts", "outputs", "class_names", "task"])
def test_metadata_that_can_not_be(model: JointModel, broken: str) -> None:
    facts = json.loads(plan_artifact(model, ExportOptions()).to_json())
    wrong = {"parts": facts["parts"][:1], "outputs": ["logits"], "class_names": ["a"], "task": "x"}
    facts[broken] = wrong[broken]
    with pytest.raises(InputError, match="broken metadata"):
        Artifact.from_json(json.dumps(facts), "it")
