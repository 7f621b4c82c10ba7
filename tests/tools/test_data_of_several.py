"""Covers runs/data_plan.py, doctor/data_sheet.py.

``show-data`` and ``check-data`` with a config of two tasks: the data sets of both.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest

from pocketvision.tools.check_data import main as check_data
from pocketvision.tools.show_data import main as show_data


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
