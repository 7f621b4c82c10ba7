"""Covers tools/train.py, tools/export.py: pictures of five channels and of 16 bits, from a folder on."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pocketvision.core.errors import InputError
from pocketvision.core.resize import PixelFormat
from pocketvision.deploy.formats import check_pixels
from pocketvision.deploy.predict.predictor import Predictor
from pocketvision.runs.ready_model import load_model
from pocketvision.tools import export, show_data, train

SMALL = ("model.weights=None", "model.image_size=(64,64)", "data.num_workers=0", "trainer.max_steps=2")


def field_pictures(root: Path) -> Path:
    """Masks of what is bright in the fifth page only."""
    rng = np.random.default_rng(0)
    for number in range(6):
        split = "train" if number < 4 else "val"
        values, mask = rng.integers(0, 60, (64, 72, 5), dtype=np.uint8), np.zeros((64, 72), np.uint8)
        mask[10:40, 5 * number : 5 * number + 30] = 1
        values[..., 4] += mask * np.uint8(150)
        for folder, array in (("images", values), ("masks", mask)):
            (root / folder / split).mkdir(parents=True, exist_ok=True)
            name = root / folder / split / f"{number}.{'tif' if folder == 'images' else 'png'}"
            pages = [Image.fromarray(page) for page in np.moveaxis(array.reshape(64, 72, -1), 2, 0)]
            pages[0].save(name, **({"save_all": True, "append_images": pages[1:]} if pages[1:] else {}))
    return root


def cell_pictures(root: Path) -> Path:
    """Boxes around what is bright; 12 bits of 16."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 4), ("val", 2)):
        (root / split).mkdir(parents=True)
        images, rows = [], []
        for number in range(count):
            values = rng.integers(0, 900, (80, 80)).astype(np.uint16)
            values[20:60, 10 + number : 45 + number] += 3000
            Image.fromarray(values).save(root / split / f"{number}.png")
            images.append({"id": number, "file_name": f"{number}.png", "height": 80, "width": 80})
            box = {"bbox": [10 + number, 20, 35, 40], "area": 1400, "iscrowd": 0}
            rows.append({"id": number + 1, "image_id": number, "category_id": 1, **box})
        content = {"images": images, "annotations": rows, "categories": [{"id": 1, "name": "cell"}]}
        (root / f"instances_{split}.json").write_text(json.dumps(content))
    return root


@pytest.mark.slow
def test_masks_on_five_channels_go_from_a_folder_to_a_certificate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, run = field_pictures(tmp_path / "field"), tmp_path / "run"
    assert train.main(["--data", str(data), "--run-dir", str(run), *SMALL]) == 0
    assert (
        "pictures: 5 channels; their mean and deviation measured on 4 training pic" in capsys.readouterr().out
    )
    model = load_model(run)
    assert model.resize.pixels == PixelFormat(5) and model.normalize.mean.shape == (1, 5, 1, 1)
    assert model.passport()["resize"]["pixels"] == {"channels": 5, "value_range": None}
    file = tmp_path / "model.onnx"
    words = ["--format", "onnx", "--output", str(file), "--verify", str(data), "--client"]
    assert export.main([str(run), *words]) == 0
    assert (tmp_path / "model.certificate.html").is_file()
    picture = data / "images" / "val" / "4.tif"
    ours, theirs = (Predictor.load(source)(picture) for source in (run, file))
    assert ours.label_map is not None and ours.label_map.shape == (64, 72)
    np.testing.assert_array_equal(ours.label_map, theirs.label_map)
    assert ours.draw().shape == (64, 72, 3)
    Image.new("RGB", (9, 9)).save(tmp_path / "rgb.png")
    with pytest.raises(InputError, match=r"rgb\.png has 3 channels, and the model takes 5: "):
        Predictor.load(file)(tmp_path / "rgb.png")
    program = [sys.executable, str(tmp_path / "model_client" / "predict.py")]
    done = subprocess.run(
        [*program, str(picture), "--masks", str(tmp_path / "masks"), "--json", str(tmp_path / "found.json")],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "masks" / "4.png")), ours.label_map)
    done = subprocess.run([*program, str(tmp_path / "rgb.png")], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1 and done.stderr.endswith("rgb.png has 3 channels, and the model takes 5\n")
    assert export.main([str(run), "--web", str(tmp_path / "page")]) == 1
    assert "--web is for models of 8-bit RGB pictures" in capsys.readouterr().err


def test_boxes_on_16_bits_keep_the_range_that_was_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, run = cell_pictures(tmp_path / "cells"), tmp_path / "run"
    assert train.main(["--data", str(data), "--run-dir", str(run), *SMALL]) == 0
    assert "1 channel, values 0 to 4095 taken as 0 to 255" in capsys.readouterr().out
    scores = json.loads((run / "metrics.json").read_text())
    assert scores["num_images"] == 2
    predictor = Predictor.load(run, threshold=0.01)
    assert predictor.artifact.resize.pixels == PixelFormat(1, (0, 4095))
    values = np.asarray(Image.open(data / "val" / "0.png")).astype(np.uint16)
    by_file, by_array = predictor(data / "val" / "0.png"), predictor(values[..., None])
    np.testing.assert_array_equal(by_file.boxes, by_array.boxes)
    assert show_data.main([str(data), "--output", str(tmp_path / "sheet.png")]) == 0
    assert (tmp_path / "sheet.png").is_file()


def test_gray_weights_are_the_sum_of_published_ones(tmp_path: Path) -> None:
    from pocketvision.backbones import mobilenet_v3_small

    torch.manual_seed(0)
    body = mobilenet_v3_small(out_features=("c2",))
    torch.save(body.state_dict(), tmp_path / "w.pth")
    gray = mobilenet_v3_small(out_features=("c2",), in_channels=1, weights=tmp_path / "w.pth")
    plane = torch.rand(1, 1, 32, 32)
    torch.testing.assert_close(gray.eval()(plane)["c2"], body.eval()(plane.expand(-1, 3, -1, -1))["c2"])


def test_what_reads_rgb_only_is_refused() -> None:
    with pytest.raises(InputError, match="--web is for models of 8-bit RGB pictures"):
        check_pixels("--web", PixelFormat(1))
    check_pixels("--web", PixelFormat())
    check_pixels("onnx", PixelFormat(1))
