"""Covers evaluation/classification_evaluator.py, tasks/classification.py.

A classifier from a folder of pictures to its score, through the commands.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pocketvision.core.weights import read_passport
from pocketvision.tools.eval import main as evaluate
from pocketvision.tools.train import main as train

NAMES = ("circle", "square", "triangle", "pentagon")
COLORS = ((200, 60, 40), (60, 190, 70), (50, 80, 210), (220, 200, 50))
SMALL = ["data.num_workers=0", "model.image_size=(64,64)", "model.width_mult=0.35"]


def draw(index: int, rng: np.random.Generator) -> np.ndarray:
    """A noisy gray picture with a shape of the class in its color, at any place."""
    image = np.full((72, 88, 3), rng.integers(90, 160), np.uint8)
    x, y = (int(v) for v in rng.integers(26, (62, 46)))
    radius, color = int(rng.integers(16, 24)), COLORS[index][::-1]
    if index == 0:
        cv2.circle(image, (x, y), radius, color, -1)
    else:
        corners = {1: 4, 2: 3, 3: 5}[index]
        angles = 2 * np.pi * (np.arange(corners) / corners + rng.random())
        points = np.stack((x + radius * np.cos(angles), y + radius * np.sin(angles)), axis=1)
        cv2.fillPoly(image, [points.astype(np.int32)], color)
    noise = rng.integers(-12, 13, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root, rng = tmp_path_factory.mktemp("shapes"), np.random.default_rng(0)
    for split, count in (("train", 16), ("val", 8)):
        for index, name in enumerate(NAMES):
            folder = root / split / name
            folder.mkdir(parents=True)
            for i in range(count):
                assert cv2.imwrite(str(folder / f"{i}.png"), draw(index, rng))
    return root


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, shapes: Path) -> Path:
    """Sixteen pictures a class, fifteen epochs of four steps, and the weights averaged."""
    folder = tmp_path_factory.mktemp("run") / "run"
    command = [
        "classifier_v2_imagenet", f"data.root={shapes}", *SMALL, "data.batch_size=16",
        "model.norm_momentum=0.3",
        "task.optimizer.lr=0.02", "task.optimizer.eps=0.001", "task.ema_decay=0.5",
        "data.augmentation.crop_scale=(0.6,1.0)", "data.augmentation.hue=0.0",
        "trainer.max_steps=60", "trainer.check_val_every_n_epoch=15",
    ]  # fmt: skip
    assert train([*command, "--run-dir", str(folder)]) == 0
    return folder


def read(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "metrics.json").read_text())
    return content


def test_a_short_training_is_well_above_chance(run: Path) -> None:
    metrics = read(run)
    assert metrics["top1"] > 0.7, "chance is 0.25"
    assert metrics["top5"] is None and metrics["num_images"] == 32 and metrics["split"] == "val"
    assert set(metrics["per_class"]) == set(NAMES) and metrics["seconds"] > 0
    assert (run / "predictions.png").is_file()
    assert read_passport(run / "weights.safetensors")["class_names"] == sorted(NAMES)


def test_the_rate_falls_every_few_epochs(run: Path) -> None:
    """0.02 for 96 images, x0.98 every 2.5 epochs of 4 steps."""
    rows = csv.DictReader((run / "metrics.csv").read_text().splitlines())
    rates = [float(row["lr"]) for row in rows if row["lr"]]
    assert rates == pytest.approx([0.02 * 16 / 96 * 0.98 ** (step // 10) for step in range(60)])


def test_results_hold_an_answer_an_image(run: Path) -> None:
    results = json.loads((run / "results.json").read_text())
    assert len(results) == 32
    hits = [row["predicted"][0] == row["class_name"] == Path(row["file_name"]).parent.name for row in results]
    assert sum(hits) / 32 == read(run)["top1"]
    assert all(row["scores"] == sorted(row["scores"], reverse=True) for row in results)


def test_evaluation_repeats_the_numbers_at_any_batch_size(run: Path, tmp_path: Path) -> None:
    for size in (1, 32):
        output = tmp_path / str(size)
        assert evaluate([str(run), f"data.eval_batch_size={size}", "--output", str(output)]) == 0
        assert {**read(output), "seconds": 0} == {**read(run), "seconds": 0}


def test_known_classes_are_scored_whatever_else_the_data_has(
    run: Path, shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data"
    shutil.copytree(shapes, data)
    (data / "val" / "circle").rename(data / "val" / "moon")
    assert evaluate([str(run), f"data.root={data}", "--output", str(tmp_path / "out")]) == 0
    metrics = read(tmp_path / "out")
    assert metrics["num_images"] == 24 and metrics["per_class"]["circle"]["top1"] is None
    for name in ("pentagon", "square", "triangle"):
        assert metrics["per_class"][name] == read(run)["per_class"][name]
    for folder in (data / "val").iterdir():
        folder.rename(folder.with_name(f"other {folder.name}"))
    assert evaluate([str(run), f"data.root={data}"]) == 1
    message = capsys.readouterr().err
    assert "other moon" in message and "triangle" in message


def test_checkpoints_hold_the_average_and_the_trained_weights(run: Path) -> None:
    import torch

    content = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    name = "model.head.class_logits.weight"
    assert (content["state_dict"][name] != content["trained_state_dict"][name]).any()


def test_a_bad_image_ends_training_with_its_name(
    tmp_path: Path, tiny: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "data"
    shutil.copytree(tiny("image_folder"), root)
    for broken in (root / "train").glob("*/*"):
        broken.write_bytes(b"no image")
    command = ["classifier_v3_small_imagenet", f"data.root={root}", *SMALL, "data.batch_size=2"]
    assert train([*command, "trainer.max_steps=1", "--run-dir", str(tmp_path / "run")]) == 1
    message = capsys.readouterr().err
    assert str(root / "train") in message and "cannot be read as an image" in message
