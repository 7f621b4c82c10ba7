"""Covers api/__init__.py, api/__main__.py, models/__init__.py, datasets/__init__.py.

What importing and starting costs: backbones, loading and the command line need few packages.
"""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image as PillowImage

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
        (["-m", "pocketvision", "trian"], 2, "Did you mean 'train'? Commands: train, tune, eval"),
        (["-m", "pocketvision", "train", "--help"], 0, "usage: pocketvision train"),
        (["-m", "pocketvision", "tune", "--help"], 0, "usage: pocketvision tune"),
        (
            ["-m", "pocketvision", "tune", "quikstart", "task.optimizer.lr=1..2"],
            1,
            "Did you mean 'quickstart'?",
        ),
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


NO_TORCH = """
import sys
sys.modules["torch"] = None  # importing it fails
sys.modules["torchvision"] = None
from pocketvision import Predictor
predictor = Predictor.load({path!r}, tile={tile})
assert len(predictor({picture!r}).scores) >= 0
"""
PREDICT = """
import sys
sys.modules["torch"] = None
sys.modules["torchvision"] = None
from pocketvision.__main__ import main
sys.argv[1:] = ["predict", {path!r}, {picture!r}, "--json", "-", "--format", "images,csv,coco"]
assert main() == 0
"""


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A run of old, as an ONNX file and for OpenVINO, and a picture."""
    from pocketvision.deploy.export.to_file import export_model
    from pocketvision.runs.ready_model import load_model

    folder = tmp_path_factory.mktemp("exported")
    run_folder = ROOT / "tests" / "runs" / "version_0_1" / "quickstart"
    model = load_model(run_folder)
    PillowImage.new("RGB", (120, 90), "teal").save(folder / "a.jpg")
    paths = {format: export_model(model, format, folder / f"m{suffix}") for format, suffix in FILES.items()}
    return {**{format: str(path) for format, path in paths.items()}, "picture": str(folder / "a.jpg")}


@pytest.mark.parametrize("folder", ["models", "datasets"])
def test_names_are_imported_when_they_are_asked_for(folder: str) -> None:
    code = f"import sys, pocketvision.{folder}; sys.exit('torch' in sys.modules)"
    assert run("-c", code).returncode == 0
    module = importlib.import_module(f"pocketvision.{folder}")
    assert all(getattr(module, name) is not None for name in module.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        module.Nothing  # noqa: B018


FILES = {"onnx": ".onnx", "openvino": ".xml"}


@pytest.mark.parametrize("format", FILES)
@pytest.mark.parametrize("tile", [None, (64, 64)])
def test_an_exported_file_needs_no_torch(
    format: str, tile: tuple[int, int] | None, exported: dict[str, str]
) -> None:
    done = run("-c", NO_TORCH.format(path=exported[format], picture=exported["picture"], tile=tile))
    assert done.returncode == 0, done.stderr


def test_the_command_predict_needs_no_torch(exported: dict[str, str], tmp_path: Path) -> None:
    code = PREDICT.format(path=exported["onnx"], picture=exported["picture"])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
