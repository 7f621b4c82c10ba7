"""Training on large pictures without a word about tiles: chosen, trained, scored, predicted, exported."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from pocketvision.core.errors import InputError
from pocketvision.core.resize import Tiling
from pocketvision.deploy.predict.predictor import Predictor
from pocketvision.runs.folder import load_experiment, override
from pocketvision.tasks.overfit import overfit
from pocketvision.tasks.own.look import look_at, write_config
from pocketvision.tasks.own.recipe import derive_recipe
from pocketvision.tasks.own.settings import own_experiment
from pocketvision.tasks.own.several import look_at_several, write_several
from pocketvision.tools import eval as eval_tool
from pocketvision.tools import train


@pytest.fixture
def wide(tmp_path: Path) -> Path:
    """YOLO: pictures of 400x700 with squares of 12 pixels, of which one in four pictures has none."""
    rng = np.random.default_rng(0)
    root = tmp_path / "wide"
    for split, count in (("train", 8), ("val", 2)):
        for kind in ("images", "labels"):
            (root / kind / split).mkdir(parents=True)
        for number in range(count):
            pixels = rng.integers(0, 60, (400, 700, 3), dtype=np.uint8)
            lines = []
            for _ in range(0 if number % 4 == 3 else 10):
                left, top = int(rng.integers(0, 688)), int(rng.integers(0, 388))
                pixels[top : top + 12, left : left + 12] = 230
                lines.append(f"0 {(left + 6) / 700} {(top + 6) / 400} {12 / 700} {12 / 400}")
            cv2.imwrite(str(root / "images" / split / f"{number}.png"), pixels)
            (root / "labels" / split / f"{number}.txt").write_text("\n".join(lines))
    (root / "data.yaml").write_text("path: .\ntrain: images/train\nval: images/val\nnames: [spot]\n")
    return root


def test_tiles_are_chosen_and_said(wide: Path, tmp_path: Path) -> None:
    words = ["model.weights=None", "data.num_workers=0"]
    own = look_at(wide, None, "ssdlite_v3_small", words)
    (line,) = [line for line in own.lines() if line.startswith("tiles: ")]
    assert "data.tile_size=320" in line and "data.tile_size=None for none" in line
    assert own.num_learned < own.num_drawn <= 8 * 6  # type: ignore[operator]
    file, _ = write_config(own, tmp_path, words, "train --data wide")
    experiment, _ = load_experiment(file, words)
    assert experiment.data.keywords["tile_size"] == 320  # type: ignore[attr-defined]
    none = look_at(wide, None, "ssdlite_v3_small", [*words, "data.tile_size=None"])
    assert none.fitted.tiles is None and none.num_drawn is None
    stated = look_at(
        wide, None, "ssdlite_v3_small", [*words, "data.tile_size=(200,300)", "data.tile_overlap=0.4"]
    )
    assert stated.fitted.tiles is not None
    assert stated.fitted.tiles.tiling == Tiling((200, 300), 0.4)
    assert "data.tile_size=(200, 300)" in stated.fitted.tiles.line()


def test_a_run_knows_its_tiles(wide: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    words = [
        "model.weights=None", "data.num_workers=0", "data.batch_size=4", "trainer.max_steps=2",
        "model.image_size=(64,64)", "data.tile_size=200", "trainer.accelerator=cpu",
    ]  # fmt: skip
    command = ["--data", str(wide), "--model", "ssdlite_v3_small", *words, "--run-dir", str(run)]
    assert train.main(command) in (None, 0)
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["num_images"] == 2, "whole pictures are scored"
    picture = str(wide / "images" / "val" / "0.png")
    predictor = Predictor.load(run, threshold=0.0)
    assert predictor.tiling == Tiling((200, 200), 0.2)
    found = predictor(picture)
    assert found.boxes is not None and found.boxes[:, 2].max() > 200
    asked = Predictor.load(run, tile=(100, 100), overlap=0.1)
    assert asked.tiling == Tiling((100, 100), 0.1), "what is asked for goes before"
    capsys.readouterr()
    assert eval_tool.main([str(run), "--output", str(tmp_path / "eval")]) in (None, 0)
    again = json.loads((tmp_path / "eval" / "metrics.json").read_text())
    assert again["AP"] == metrics["AP"] and again["num_images"] == 2


def test_overfitting_tiles(wide: Path) -> None:
    words = [
        "data.tile_size=100", "model.weights=None", "data.batch_size=2", "trainer.max_steps=2",
        "model.image_size=(64,64)", "data.num_workers=0",
    ]  # fmt: skip
    own = look_at(wide, None, "ssdlite_v3_small", words)
    recipe = derive_recipe(own.num_learned, 1, 2, "detection", pretrained=False)
    result = overfit(override(own_experiment(own, recipe, None), words), 3)
    assert result.num_images == 3 and result.num_steps == 2 and 0 < result.ceiling <= 1


@pytest.fixture
def cracks(tmp_path: Path) -> Path:
    """Lines of two pixels in pictures of 1000x1500, of which an input of a fifth keeps little."""
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for number in range(4):
            mask = np.zeros((1000, 1500), np.uint8)
            for _ in range(20):
                cv2.line(mask, rng.integers(0, 1000, 2).tolist(), rng.integers(0, 1500, 2).tolist(), 1, 2)
            for kind, pixels in (("images", mask * 200), ("masks", mask)):
                (tmp_path / "cracks" / split / kind).mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(tmp_path / "cracks" / split / kind / f"{number}.png"), pixels)
    (tmp_path / "cracks" / "classes.txt").write_text("ground\ncrack\n")
    return tmp_path / "cracks"


def test_masks_whose_detail_an_input_loses(cracks: Path, tmp_path: Path) -> None:
    words = ["model.weights=None", "data.num_workers=0", "model.image_size=(192,288)"]
    own = look_at(cracks, None, "lraspp_v3_small", words)
    (line,) = [line for line in own.lines() if line.startswith("tiles: ")]
    tiles = own.fitted.tiles
    assert tiles is not None and f"data.tile_size={tiles.tiling.tile}" in line and "mean IoU" in line
    assert own.num_learned == len(tiles.all) > 4 and own.fitted.resize is None
    file, _ = write_config(own, tmp_path, words, "train --data cracks")
    experiment, _ = load_experiment(file, words)
    assert experiment.data.keywords["tile_size"] == tiles.tiling.tile  # type: ignore[attr-defined]
    none = look_at(cracks, None, "lraspp_v3_small", [*words, "data.tile_size=None"])
    assert none.fitted.tiles is None and none.fitted.resize is not None


def test_a_model_of_several_tasks_sees_whole_pictures_and_says_what_that_loses(
    wide: Path, cracks: Path, tmp_path: Path
) -> None:
    words = ["model.weights=None", "data.num_workers=0", "model.image_size=(192,288)"]
    several = look_at_several([str(wide), str(cracks)], (), (), words)
    assert {own.fitted.tiles for own in several.parts.values()} == {None}
    assert several.parts["segmentation"].num_learned == 4, "pictures, not tiles"
    said = [line for line in several.lines() if line.startswith("no tiles")]
    assert len(said) == 2 and "boxes" in said[0] and "mean IoU" in said[1]
    file, _ = write_several(several, tmp_path, words, "train --data wide --data cracks")
    experiment, _ = load_experiment(file, words)
    assert all("tile_size" not in part.keywords for part in experiment.data.keywords["parts"].values())  # type: ignore[attr-defined]
    for option in ("data.tile_size", "data.parts.segmentation.tile_size"):
        with pytest.raises(InputError, match=f"leave {option} out"):
            look_at_several([str(wide), str(cracks)], (), (), [*words, f"{option}=100"])
