"""Covers deploy/runtimes/exported_models.py, evaluation/multi_scale.py.

What eval takes besides a run: exported models, and other ways to predict masks.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pocketvision.backbones import mobilenet_v3_small
from pocketvision.core.config import Experiment
from pocketvision.core.errors import InputError
from pocketvision.core.resize import Resize
from pocketvision.core.weights import save_weights
from pocketvision.datasets import CocoDataModule, MaskFolderDataModule
from pocketvision.deploy.runtimes import opening
from pocketvision.deploy.runtimes.exported_models import DetectionRuntime, predictor_of
from pocketvision.deploy.runtimes.torch_module import TorchRuntime
from pocketvision.evaluation import evaluate_run as scoring
from pocketvision.heads import LRASPPHead, SSDLiteHead
from pocketvision.models import Detector, Segmenter
from pocketvision.tools.eval import main, what_and_where

AsTrained = Callable[[nn.Module], nn.Module]
MASK_NAMES = tuple("abcdefghijkl")


def make_detector(class_names: Sequence[str | None]) -> Detector:
    return Detector(
        mobilenet_v3_small(width_mult=0.35, out_features=("c1", "c2")),
        SSDLiteHead,
        class_names,
        Resize((64, 96)),
    )


def make_segmenter(class_names: Sequence[str | None]) -> Segmenter:
    head = partial(LRASPPHead, channels=8, low=("c1",), high="c2")
    backbone = mobilenet_v3_small(width_mult=0.35, out_features=("c1", "c2"))
    return Segmenter(backbone, head, class_names, Resize((64, 96)))


def picture() -> Tensor:
    """(1, 3, 64, 96), as in the tiny data."""
    small = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    large = cv2.resize(small, (96, 64), interpolation=cv2.INTER_CUBIC)
    return torch.from_numpy(large).permute(2, 0, 1)[None]


@pytest.fixture
def detection(monkeypatch: pytest.MonkeyPatch, tiny: Callable[[str], Path]) -> None:
    """The shipped config becomes one of the tiny detector and data."""
    data = partial(CocoDataModule, root=tiny("coco"), num_workers=0, batch_size=2)
    experiment = Experiment(
        class_names=("cat", "owl"), model=make_detector, task=partial(nn.Module), data=data
    )
    monkeypatch.setattr(scoring, "load_experiment", lambda path, overrides: (experiment, []))


@pytest.mark.usefixtures("detection")
def test_an_exported_model_scores_as_its_weights_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, as_trained: AsTrained, capsys: pytest.CaptureFixture[str]
) -> None:
    model = as_trained(make_detector(("cat", "owl"))).eval()
    assert isinstance(model, Detector)
    save_weights(tmp_path / "w.safetensors", model, {})
    predictor = predictor_of(TorchRuntime(model))
    assert isinstance(predictor, DetectionRuntime) and predictor.class_names == model.class_names
    (tmp_path / "m.onnx").touch()
    monkeypatch.setattr(opening, "open_runtime", lambda path: TorchRuntime(model))
    for weights in ("w.safetensors", "m.onnx"):
        output = str(tmp_path / f"of_{weights}")
        command = ["ssdlite_v2_coco", "--weights", str(tmp_path / weights), "--output", output]
        assert main(command) == 0
    a, b = (
        json.loads((tmp_path / f"of_{w}" / "metrics.json").read_text()) for w in ("w.safetensors", "m.onnx")
    )
    assert b["AP_small"] == a["AP_small"] and b["AR_100"] == pytest.approx(a["AR_100"], abs=0.02)
    assert b["num_images"] == 4 and "report.html" in capsys.readouterr().out
    assert main(["ssdlite_v2_coco", "--weights", str(tmp_path / "m.onnx"), "--flip"]) == 1
    assert "takes images of its own size only" in capsys.readouterr().err
    assert main(["ssdlite_v2_coco", "--weights", str(tmp_path / "w.safetensors"), "--flip"]) == 1
    assert "--window are for segmentation" in capsys.readouterr().err
    assert main([str(tmp_path / "m.onnx")]) == 1
    assert "does not say what data to score it on" in capsys.readouterr().err


def test_masks_at_several_scales(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, as_trained: AsTrained, tiny: Callable[[str], Path]
) -> None:
    data = partial(MaskFolderDataModule, root=tiny("masks"), class_names=MASK_NAMES, num_workers=0)
    experiment = Experiment(make_segmenter, partial(nn.Module), data, class_names=MASK_NAMES)
    monkeypatch.setattr(scoring, "load_experiment", lambda path, overrides: (experiment, []))
    torch.manual_seed(0)
    model = as_trained(make_segmenter(MASK_NAMES)).eval()
    with torch.no_grad():  # else one class wins everywhere
        model.get_submodule("head.high_logits").bias -= model(picture()).mean(dim=(0, 2, 3))
    save_weights(tmp_path / "w.safetensors", model, {})
    command = ["lraspp_v2_camvid", "--weights", str(tmp_path / "w.safetensors")]
    options = ["--scales", "0.75,1", "--flip", "--window", "64,64", "--output", str(tmp_path / "many")]
    assert main([*command, "--output", str(tmp_path / "one")]) == 0
    assert main([*command, *options]) == 0
    masks = [(tmp_path / name / "masks" / "0.png").read_bytes() for name in ("one", "many")]
    assert masks[0] != masks[1]


@pytest.mark.parametrize("options", [["--window", "5"], ["--scales", "0,1"]])
def test_bad_options_are_one_sentence(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["lraspp_v2_camvid", "--weights", str(tmp_path / "w.safetensors"), *options]) == 1
    assert capsys.readouterr().err.startswith(f"error: {options[0]}")


@pytest.mark.parametrize("name", ["checkpoints/last.ckpt", "weights.safetensors", "model.onnx"])
def test_a_file_in_a_run_is_scored_on_the_runs_data(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    (tmp_path / "run" / "run.json").touch()
    file = tmp_path / "run" / name
    assert what_and_where(str(file), None) == (tmp_path / "run", file)
    monkeypatch.chdir(file.parent)
    assert what_and_where(file.name, None) == (tmp_path / "run", Path(file.name))
    lone = tmp_path / "lone" / "models" / "of" / Path(name).name
    with pytest.raises(InputError, match="does not say what data to score it on: use eval CONFIG --weights"):
        what_and_where(str(lone), None)
