"""Covers published/recognize.py.

import-weights without --into: the file says what it is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torchvision.models import mobilenet_v2 as their_mobilenet_v2
from torchvision.models import resnet18

import pocketvision
from pocketvision.core.weights import read_passport
from pocketvision.tools.import_weights import main

WEIGHTS = Path(__file__).resolve().parents[3] / "shared" / "weights"
NAMES = "class_names=('a','b','c')"


@pytest.mark.parametrize("width", [0.25, 0.35, 1.4])
def test_the_width_of_torchvisions_architecture(width: float, tmp_path: Path, as_trained: Any) -> None:
    source: Any = as_trained(their_mobilenet_v2(num_classes=3, width_mult=width))
    torch.save(source.state_dict(), tmp_path / "v2.pth")
    output = tmp_path / "w.safetensors"
    assert main([str(tmp_path / "v2.pth"), NAMES, "--output", str(output)]) == 0
    builder = read_passport(output)["builder"]
    assert builder["config"] == "classifier_v2_imagenet" and builder["arguments"]["width_mult"] == width
    ours, images = pocketvision.load(output), torch.rand(1, 3, 224, 224) * 255
    with torch.no_grad():
        theirs = source.eval()(ours.normalize(images))
        torch.testing.assert_close(ours(images) / theirs.std(), theirs / theirs.std(), rtol=1e-4, atol=1e-4)


def test_what_is_not_recognized_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "w.safetensors"
    torch.save(resnet18().state_dict(), tmp_path / "resnet.pth")
    assert main([str(tmp_path / "resnet.pth"), "--output", str(output)]) == 1
    assert "no MobileNet classifier of torchvision or timm (its first tensor is conv1.weight)" in (
        capsys.readouterr().err
    )
    torch.save(their_mobilenet_v2(num_classes=3).state_dict(), tmp_path / "v2.pth")
    assert main([str(tmp_path / "v2.pth"), "--output", str(output)]) == 1
    assert "predicts 3 classes and names none" in capsys.readouterr().err
    odd: Any = their_mobilenet_v2(num_classes=3, width_mult=0.6)
    torch.save(odd.state_dict(), tmp_path / "odd.pth")
    assert main([str(tmp_path / "odd.pth"), NAMES, "--output", str(output)]) == 1
    assert "its kernels are of no known width" in capsys.readouterr().err
    assert main(["coco", "--output", str(output)]) == 1
    assert "give --into CONFIG" in capsys.readouterr().err
    assert not output.exists()


SHARED = {
    "mobilenet_v2-b0353104.pth": ("classifier_v2_imagenet", 224, "torch"),
    "ssdlite_mobilenet_v2_person_frozen.pb": ("ssdlite_v2_person", 300, "same"),
    "mobilenet_v3_small_1.0_224_uint8.tflite": ("classifier_v3_small_imagenet", 224, "same"),
}


@pytest.mark.skipif(not WEIGHTS.is_dir(), reason="needs the shared weights")
@pytest.mark.parametrize("name", SHARED)
def test_published_files_say_what_they_are(name: str, tmp_path: Path) -> None:
    config, size, padding = SHARED[name]
    output = tmp_path / "w.safetensors"
    assert main([str(WEIGHTS / name), "--output", str(output)]) == 0
    passport = read_passport(output)
    assert passport["builder"]["config"] == config and passport["padding"] == padding
    assert passport["builder"]["arguments"]["width_mult"] == 1
    model = pocketvision.load(output)
    assert tuple(model.resize.image_size) == (size, size)
    assert len(model.class_names) == (1 if "ssdlite" in config else 1000)
