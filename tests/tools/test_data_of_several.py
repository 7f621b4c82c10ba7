"""Covers runs/data_plan.py, doctor/data_sheet.py.

``show-data`` and ``check-data`` with a config of two tasks: the data sets of both.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from pocketvision.core.drawing import PALETTE, palette_for
from pocketvision.core.resize import Resize
from pocketvision.core.structures import BoxTarget, MaskTarget, PairedTarget
from pocketvision.core.weights import save_weights
from pocketvision.datasets import CocoDataModule, CocoSegmentationDataModule, JointDataModule
from pocketvision.doctor.data_sheet import data_sheet, tile
from pocketvision.tools.check_data import main as check_data
from pocketvision.tools.eval import main as evaluate
from pocketvision.tools.show_data import main as show_data
from pocketvision.tools.train import main as train

SIZE = (64, 96)
MASKS = ("background", "cat", "owl")


@pytest.fixture
def words(tiny: Callable[[str], Path]) -> list[str]:
    """A config, and where its data lie."""
    names = ("detection/cat", "detection/owl", *(f"segmentation/{number}" for number in range(12)))
    return [
        "street_v2", f"class_names={names}", "model.image_size=(64,96)", "model.weights=None",
        "data.num_workers=0", "data.parts.segmentation.augmentation.crop_size=(64,64)",
        "data.parts.segmentation.ignore_ids=()", "task.tasks.segmentation.loss.class_weights=None",
        f"data.parts.detection.root={tiny('coco')}", f"data.parts.segmentation.root={tiny('masks')}",
    ]  # fmt: skip


def test_the_samples_of_both_are_shown(words: list[str], tmp_path: Path) -> None:
    heights = []
    for number in ("4", "8"):  # a row more of each
        picture = tmp_path / f"{number}.png"
        assert show_data([*words, "--num", number, "--output", str(picture)]) == 0
        heights.append(cv2.imread(str(picture)).shape[0])
    boxes, masks = 240, 2 * 360  # a picture, and a crop above its mask, at 360 pixels a tile
    assert heights[1] - heights[0] >= boxes + masks


def test_boxes_lie_over_the_map_where_a_picture_has_both() -> None:
    box = BoxTarget(torch.tensor([[10.0, 10.0, 50.0, 50.0]]), torch.tensor([0]), 0, SIZE)
    mask = MaskTarget(torch.ones(SIZE, dtype=torch.uint8), 0, SIZE)
    names = ("cat", "owl"), ("sky", "road")
    shown = tile(torch.zeros(3, *SIZE, dtype=torch.uint8), PairedTarget(box, mask), *names)
    assert shown.shape == (2 * 240, 360, 3) and not shown[:240].any(), "the picture itself is above"
    scale = 360 / SIZE[1]
    edge, inside = shown[240 + round(50 * scale) - 2, 100], shown[240 + 120, 110]
    assert tuple(edge) == PALETTE[0]
    np.testing.assert_allclose(inside, 0.55 * np.array(palette_for(names[1])[1]), atol=1)


def test_only_what_teaches_is_shown(tiny: Callable[[str], Path]) -> None:
    root = tiny("coco_outlines")
    parts = {"detection": CocoDataModule, "segmentation": CocoSegmentationDataModule}
    classes = [*(f"detection/{x}" for x in ("cat", "owl")), *(f"segmentation/{x}" for x in MASKS)]
    heights = {}
    for names in (("both",), ("both", "segmentation"), ("both", "detection", "segmentation")):
        found = {task: partial(module, root=root) for task, module in parts.items()}
        data = JointDataModule(found, dict.fromkeys(names, 1.0), batch_size=2, num_workers=0)
        data.connect(classes, Resize(SIZE))
        heights[names] = data_sheet(data, 2).shape[0]
    both, and_masks, all_three = heights.values()
    assert and_masks > both + 2 * 240 and all_three > and_masks + 240


def test_anchors_are_those_of_the_detector(words: list[str], tmp_path: Path) -> None:
    picture = tmp_path / "anchors.png"
    assert show_data([*words, "--anchors", "--output", str(picture)]) == 0
    assert cv2.imread(str(picture)) is not None


def test_both_data_sets_are_checked(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check_data([*words, "--output", str(tmp_path / "reports")])
    for task in ("detection", "segmentation"):
        report = json.loads((tmp_path / "reports" / task / "report.json").read_text())
        assert report["task"] == task
        assert (tmp_path / "reports" / task / "report.html").is_file()
    capsys.readouterr()
    assert check_data([*words, "--fix", str(tmp_path / "copy")]) == 1
    assert "this config has several: give PATHs" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["data.parts.detection.tile_size", "data.tile_size"])
def test_tiles_are_refused_before_anything_is_written(
    option: str, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    weights = tmp_path / "w.safetensors"
    save_weights(weights, torch.nn.Linear(1, 1), {})
    for command, more in ((train, []), (show_data, []), (evaluate, ["--weights", str(weights)])):
        assert command([*words, f"{option}=64", *more]) == 1
        said = capsys.readouterr().err
        assert option.removeprefix("data.") in said and len(said.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == [weights]
