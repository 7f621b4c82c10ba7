"""Covers api/__init__.py, api/__main__.py.

What importing and starting costs: backbones, loading and the command line need few packages.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, cwd=ROOT, timeout=120, check=False
    )


def test_backbones_need_torch_and_core_only() -> None:
    heavy = ("lightning", "torchvision", "pycocotools", "albumentations", "timm")
    code = "import sys, pocketvision.backbones; print(*sys.modules)"
    loaded = set(run("-c", code).stdout.split())
    assert "torch" in loaded and "pocketvision.core.layers" in loaded
    assert not loaded & set(heavy)
    ours = {name.split(".")[1] for name in loaded if name.startswith("pocketvision.")}
    assert ours == {"backbones", "core"}


@pytest.mark.parametrize(
    ("arguments", "code", "answer"),
    [
        (["-m", "pocketvision", "--help"], 0, "usage: pocketvision COMMAND"),
        (["-m", "pocketvision"], 0, "usage: pocketvision COMMAND"),
        (["-m", "pocketvision", "--version"], 0, "."),
        (["-m", "pocketvision", "trian"], 2, "Did you mean 'train'? Commands: train, eval"),
        (["-m", "pocketvision", "train", "--help"], 0, "usage: pocketvision train"),
        (["tools/train.py", "--help"], 0, "Shipped configs: "),
        (["tools/eval.py", "--help"], 0, "usage: pocketvision eval"),
        (["tools/train.py", "ssdlite_v2_coco", "--no-such-option"], 2, "unrecognized arguments"),
        (["tools/train.py", "ssdlite_v2_cocoo"], 1, "Did you mean 'ssdlite_v2_coco'?"),
        (["-m", "pocketvision", "eval", "ssdlite_v2_coco"], 1, "--weights FILE"),
    ],
)
def test_the_command_line_answers_before_torch(arguments: list[str], code: int, answer: str) -> None:
    done = run("-X", "importtime", *arguments)
    timing = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    said = done.stdout + "".join(line for line in done.stderr.splitlines(True) if line[:12] != "import time:")
    assert done.returncode == code and answer in " ".join(said.split()), said
    assert "Traceback" not in said
    imported = {line.rpartition("|")[2].strip() for line in timing}
    assert "argparse" in imported or "difflib" in imported, "the timing was read"
    assert not imported & {"torch", "lightning", "numpy", "cv2"}


NO_LIGHTNING = """
import sys
import pocketvision
{statement}
assert "lightning" not in sys.modules
"""


@pytest.mark.parametrize(
    "statement",
    [
        "import pocketvision.backbones, pocketvision.heads, pocketvision.losses, pocketvision.datasets",
        "from pocketvision.configs import quickstart",
        "pocketvision.load({weights!r})",
        "pocketvision.load({run!r})",
        "pocketvision.load('ssdlite_v3_small_coco', class_names=('cat',))",
        "pocketvision.Predictor.load({run!r})",
    ],
)
def test_only_training_imports_lightning(statement: str) -> None:
    run_folder = ROOT / "tests" / "runs" / "version_0_1" / "quickstart"
    places = {"run": str(run_folder), "weights": str(run_folder / "weights.safetensors")}
    done = run("-c", NO_LIGHTNING.format(statement=statement.format(**places)))
    assert done.returncode == 0, done.stderr
