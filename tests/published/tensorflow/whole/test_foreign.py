"""Covers runs/foreign.py, tasks/own/start.py.

Every command takes a file of others as if it were ours.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torchvision.models import mobilenet_v2 as their_mobilenet_v2
from torchvision.models.detection import ssdlite320_mobilenet_v3_large
from torchvision.models.segmentation import deeplabv3_mobilenet_v3_large, lraspp_mobilenet_v3_large

import pocketvision
from pocketvision.configs import (
    classifier_v1_imagenet,
    classifier_v2_imagenet,
    imported_detection,
    imported_segmentation,
)
from pocketvision.core.errors import InputError
from pocketvision.core.weights import read_passport
from pocketvision.runs.foreign import imported, is_foreign
from pocketvision.tools.cost import main as cost
from pocketvision.tools.eval import main as evaluate
from pocketvision.tools.export import main as export
from pocketvision.tools.predict import main as predict
from pocketvision.tools.train import main as train

HALF: Any = {"mean": (0.5,) * 3, "std": (0.5,) * 3}
SSD: dict[str, Any] = {"image_size": (96, 96), "width_mult": 0.25, "extra_channels": (16,)}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("POCKETVISION_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "cache"


@pytest.fixture
def detector(tmp_path: Path, write_published: Any) -> Path:
    torch.manual_seed(0)
    path = tmp_path / "people.tflite"
    write_published(
        imported_detection.model(("background", "cat", "dog"), **SSD), path, labels=("???", "cat", "dog")
    )
    return path


def test_a_detector_by_all_commands(
    detector: Path,
    tmp_path: Path,
    tiny: Callable[[str], Path],
    capsys: pytest.CaptureFixture[str],
    cache: Path,
) -> None:
    assert is_foreign(detector)
    model = pocketvision.load(detector)
    assert model.class_names == ("cat", "dog"), "from the label file"
    (kept,) = cache.glob("imported/*.safetensors")
    assert imported(detector) == kept, "by its hash"
    assert read_passport(kept)["source"] == "people.tflite"

    picture = tmp_path / "a.png"
    cv2.imwrite(str(picture), np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8))
    assert predict([str(detector), str(picture), "--json", str(tmp_path / "a.json"), "--threshold", "0"]) == 0
    assert json.loads((tmp_path / "a.json").read_text())
    capsys.readouterr()
    assert cost([str(detector), "--json"]) == 0
    total = json.loads(capsys.readouterr().out)["params"]
    assert total == sum(value.numel() for value in model.parameters())
    assert evaluate([str(detector), f"data.root={tiny('coco')}", "data.num_workers=0"]) == 0
    (metrics,) = (tmp_path / "out" / "eval").rglob("metrics.json")
    assert "AP" in json.loads(metrics.read_text())


def test_scores_of_a_classifier(
    tmp_path: Path, write_published: Any, tiny: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """The names are those of the data, where the file has none and as many."""
    root = tiny("image_folder")
    path = tmp_path / "v1.pb"
    names = sorted(folder.name for folder in (root / "val").iterdir())
    source = classifier_v1_imagenet.model(names, width_mult=0.25, image_size=(64, 64), padding="same", **HALF)
    write_published(source, path)
    assert evaluate([str(path), f"data.root={root}", "data.num_workers=0"]) == 0
    (metrics,) = (tmp_path / "out" / "eval").rglob("metrics.json")
    assert metrics.parent.name == "v1" and json.loads(metrics.read_text())["num_images"] > 0
    with pytest.raises(InputError, match=r"predicts . classes and names none"):
        pocketvision.load(path)
    assert pocketvision.load(path, class_names=names).class_names == tuple(names)
    words = [str(path), f"class_names={names}", "--format", "pt2", "--output", str(tmp_path / "m.pt2")]
    assert export(words) == 0
    assert pocketvision.Predictor.load(tmp_path / "m.pt2").class_names == tuple(names)


def test_what_is_not_foreign(tmp_path: Path) -> None:
    assert not is_foreign(tmp_path) and not is_foreign("ssdlite_v2_coco") and not is_foreign("a.onnx")
    (tmp_path / "a.pb").write_bytes(b"nothing")
    assert is_foreign(tmp_path / "a.pb")
    with pytest.raises(InputError, match="is no frozen TensorFlow graph"):
        pocketvision.load(tmp_path / "a.pb")


def test_a_file_of_torchvision(tmp_path: Path, as_trained: Any) -> None:
    source: Any = as_trained(their_mobilenet_v2(num_classes=3, width_mult=0.25))
    torch.save(source.state_dict(), tmp_path / "v2.pth")
    model = pocketvision.load(tmp_path / "v2.pth", class_names=("a", "b", "c"))
    images = torch.rand(1, 3, 224, 224) * 255
    with torch.no_grad():
        torch.testing.assert_close(model(images), source(model.normalize(images)), rtol=1e-3, atol=1e-3)


WHOLE: dict[str, tuple[Any, int, str]] = {
    "detection": (ssdlite320_mobilenet_v3_large, 91, "ssdlite_v3_large_coco"),
    "lraspp": (lraspp_mobilenet_v3_large, 21, "lraspp_v3_large_voc"),
    "deeplabv3": (deeplabv3_mobilenet_v3_large, 21, "deeplabv3_v3_large_voc"),
}


@pytest.mark.parametrize("name", WHOLE)
def test_whole_models_of_torchvision(name: str, tmp_path: Path, as_trained: Any) -> None:
    build, number, config = WHOLE[name]
    torch.manual_seed(0)
    state = as_trained(build(weights=None, weights_backbone=None, num_classes=number)).state_dict()
    torch.save(state, tmp_path / "whole.pth")
    weights = imported(tmp_path / "whole.pth")
    passport = read_passport(weights)
    assert passport["builder"]["config"] == config
    assert "person" in passport["class_names"] and len(passport["class_names"]) == min(number, 90)
    torch.save(build(weights=None, weights_backbone=None, num_classes=5).state_dict(), tmp_path / "five.pth")
    with pytest.raises(InputError, match=r"five.pth predicts [45] classes and names none"):
        imported(tmp_path / "five.pth")
    with pytest.raises(InputError, match=r"five.pth predicts 5 classes, 3 are named"):
        imported(tmp_path / "five.pth", ["class_names=('a','b','c')"])


def test_a_segmenter_predicts(tmp_path: Path, write_published: Any) -> None:
    path = tmp_path / "deeplab.pb"
    names = [f"class {number}" for number in range(21)]
    write_published(
        imported_segmentation.model(names, width_mult=0.25, image_size=(65, 65), head_channels=16), path
    )
    predictor = pocketvision.Predictor.load(path)
    assert predictor.class_names[15] == "person", "VOC's, which are as many"
    found = predictor(np.zeros((50, 70, 3), np.uint8))
    assert found.label_map is not None and found.label_map.shape == (50, 70)


def test_training_goes_on_with_the_file(
    tmp_path: Path, detector: Path, tiny: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """The whole detector is trained: anchors and form are the file's, the rows of "cat" are kept."""
    words = ["--data", str(tiny("coco")), "--from", str(detector), "trainer.max_steps=1"]
    small = ["data.batch_size=2", "data.num_workers=0"]
    assert train([*words, *small, "--run-dir", str(tmp_path / "run")]) == 0
    said = capsys.readouterr()
    assert "form, anchors and normalization are those of the imported file" in said.out
    assert "class heads kept" in said.err + said.out
    model = pocketvision.load(tmp_path / "run")
    own = pocketvision.load(detector)
    assert repr(model.backbone) == repr(own.backbone) and model.anchors == own.anchors  # type: ignore[union-attr]
    passport = read_passport(tmp_path / "run" / "weights.safetensors")
    assert passport["started_from"]["started_from"]["source"] == "people.tflite"


def test_a_classifier_for_other_data_gives_its_backbone(
    tmp_path: Path, write_published: Any, tiny: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """The default head gets it, with the padding and normalization that it was trained with."""
    path = tmp_path / "v2.pb"
    names = [f"class {number}" for number in range(1000)]
    write_published(classifier_v2_imagenet.model(names, image_size=(64, 64), padding="same", **HALF), path)
    words = ["--data", str(tiny("coco")), "--from", str(path), "data.batch_size=2", "data.num_workers=0"]
    run = tmp_path / "run"
    assert train([*words, "model.image_size=(96, 96)", "trainer.max_steps=1", "--run-dir", str(run)]) == 0
    said = capsys.readouterr().out
    assert "model: gfl_v2" in said and "model.padding='same', model.mean=(0.5, 0.5, 0.5)" in said
    passport = read_passport(run / "weights.safetensors")
    assert passport["padding"] == "same" and passport["mean"] == [0.5, 0.5, 0.5]
    again = ["--data", str(tiny("coco")), "--model", "gfl_v2", "--from", str(run), *words[4:]]
    assert train([*again, "trainer.max_steps=1", "--run-dir", str(tmp_path / "again")]) == 0
    assert "model.padding='same'" in capsys.readouterr().out, "as a run of ours says"
    assert train([*words, "--model", "ssdlite_v2", "model.mean=(0.4, 0.4, 0.4)", "--print-config"]) == 0
    shown = capsys.readouterr().out
    assert "model.padding='same'" in shown and "mean=(0.4, 0.4, 0.4)" in shown
