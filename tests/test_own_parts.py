"""The guide "Parts of your own": its files and commands work in a folder outside the package."""

from __future__ import annotations

import csv
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from pocketvision.deploy.predict.predictor import Predictor

RunPython = Callable[[list[str], Path], "subprocess.CompletedProcess[str]"]
ROOT = Path(__file__).resolve().parent.parent
GUIDE = ROOT / "docs" / "guides" / "own_parts.md"


def written(folder: Path) -> Path:
    """``mine`` in ``folder``: the guide's files, and pictures with boxes of two classes."""
    blocks = re.findall(r"```python\n# (mine/\w+\.py)\n(.+?)```", GUIDE.read_text("utf-8"), flags=re.DOTALL)
    assert {name for name, _ in blocks} > {"mine/my_backbone.py", "mine/my_task.py", "mine/tiny.py"}
    data = folder / "mine" / "data"
    data.mkdir(parents=True)
    for name, text in blocks:
        (folder / name).write_text(text, encoding="utf-8")
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        lines = []
        for number in range(4):
            picture = rng.integers(0, 255, (48, 64, 3), dtype=np.uint8)
            assert cv2.imwrite(str(data / f"{split}{number}.png"), picture)
            lines += [f"{split}{number}.png cat 4 5 40 44", f"{split}{number}.png owl 30 2 60 30"]
        (data / f"{split}.txt").write_text("\n".join(lines))
    return folder / "mine"


def commands() -> list[list[str]]:
    lines = re.findall(r"^    (pocketvision .+)$", GUIDE.read_text("utf-8"), flags=re.MULTILINE)
    return [shlex.split(line)[1:] for line in lines]


def state_of_the_package() -> str:
    done = subprocess.run(
        ["git", "status", "--porcelain"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory, run_python: RunPython) -> Path:
    """The guide's folder after its commands."""
    before = state_of_the_package()
    folder = tmp_path_factory.mktemp("outside")
    mine = written(folder)
    for words in commands():
        done = run_python(["-m", "pocketvision", *words], folder)
        assert done.returncode == 0, f"{words}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    assert state_of_the_package() == before
    return mine


def test_the_run_keeps_every_file_of_the_config(mine: Path) -> None:
    kept = {path.name for path in (mine / "run" / "config").iterdir() if path.suffix == ".py"}
    assert kept == {path.name for path in mine.glob("*.py")}
    assert (mine / "found").is_dir() and any((mine / "found").iterdir())


def test_the_task_changes_the_loss(mine: Path) -> None:
    """It was never asked: training had begun to compute losses in two steps."""
    with (mine / "run" / "metrics.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["train/loss"]]
    assert [float(row["train/box_loss"]) > 0 for row in rows] == [step > 0 for step in range(len(rows))]


def test_the_exported_detector_finds_what_the_run_does(mine: Path) -> None:
    run, exported = (Predictor.load(mine / name, threshold=0.0) for name in ("run", "tiny.onnx"))
    found, other = (it(mine / "data" / "val0.png") for it in (run, exported))
    assert found.boxes is not None and other.boxes is not None and len(found.boxes) > 0
    assert set(run.artifact.class_names) == {"cat", "owl"}
    np.testing.assert_allclose(found.scores[:20], other.scores[:20], atol=1e-4)
    np.testing.assert_allclose(found.boxes[:20], other.boxes[:20], atol=1e-2)
