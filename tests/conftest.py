"""Tiny data sets in every layout, for tests that run whole tools, and models as after training."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import nn

if "PYTEST_XDIST_WORKER" in os.environ:  # the test processes are the parallelism
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)

HEIGHT, WIDTH = 64, 96
NUM_IMAGES = 4
VOC_OBJECT = (
    "<object><name>{}</name><bndbox>"
    "<xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox></object>"
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The README's commands take minutes: beside all others, not after them."""
    items.sort(key=lambda item: item.name != "test_every_command_runs")


def _write(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels)


def _picture(seed: int) -> np.ndarray:
    small = np.random.default_rng(seed).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    return cv2.resize(small, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)


def _coco(root: Path) -> None:
    for split in ("train", "val"):
        images, annotations = [], []
        for i in range(1, NUM_IMAGES + 1):
            _write(root / split / f"{i}.jpg", _picture(i))
            images.append({"id": 10 * i, "file_name": f"{i}.jpg", "height": HEIGHT, "width": WIDTH})
            for category, x in ((7, 5), (90, 40))[: i % 3]:  # the third image has no boxes
                box = [x + i, 10, 30, 25]
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": 10 * i,
                        "category_id": category,
                        "bbox": box,
                        "area": 750.0,
                        "iscrowd": 0,
                    }
                )
        categories = [{"id": 7, "name": "cat"}, {"id": 90, "name": "owl"}]
        content = {"images": images, "annotations": annotations, "categories": categories}
        (root / f"instances_{split}.json").write_text(json.dumps(content))


def _coco_outlines(root: Path) -> None:
    """As ``coco``, each object with the outline of its box: pictures that carry boxes and masks."""
    _coco(root)
    for split in ("train", "val"):
        file = root / f"instances_{split}.json"
        content = json.loads(file.read_text())
        for row in content["annotations"]:
            x, y, width, height = row["bbox"]
            row["segmentation"] = [[x, y, x + width, y, x + width, y + height, x, y + height]]
        file.write_text(json.dumps(content))


def _voc(root: Path) -> None:
    stems = [f"cell{i}" for i in range(NUM_IMAGES)]
    for i, stem in enumerate(stems):
        _write(root / "JPEGImages" / f"{stem}.jpg", _picture(i))
        objects = VOC_OBJECT.format("RBC", 5, 5, 40, 40) + VOC_OBJECT.format("Platelets", 60, 30, 70, 40)
        (root / "Annotations").mkdir(exist_ok=True)
        (root / "Annotations" / f"{stem}.xml").write_text(
            f"<annotation><size><width>{WIDTH}</width><height>{HEIGHT}</height></size>{objects}</annotation>"
        )
    lists = root / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    for split in ("trainval", "train", "val", "test"):
        (lists / f"{split}.txt").write_text("\n".join(stems))


def _cityscapes(root: Path) -> None:
    for split in ("train", "val"):
        for i in range(NUM_IMAGES):
            stem = f"{split}/aachen/aachen_{i:06}_000019"
            _write(root / "leftImg8bit" / f"{stem}_leftImg8bit.png", _picture(i))
            ids = np.resize(np.arange(34, dtype=np.uint8), (HEIGHT // 8, WIDTH // 8))
            labels = np.kron(ids, np.ones((8, 8), dtype=np.uint8))
            _write(root / "gtFine" / f"{stem}_gtFine_labelIds.png", labels)


def _masks(root: Path) -> None:
    for split in ("train", "val", "test"):
        for i in range(NUM_IMAGES):
            _write(root / split / "images" / f"{i}.jpg", _picture(i))
            ids = np.resize(np.arange(12, dtype=np.uint8), (HEIGHT // 8, WIDTH // 8))
            _write(root / split / "masks" / f"{i}.png", np.kron(ids, np.ones((8, 8), dtype=np.uint8)))


def _voc_masks(root: Path) -> None:
    lists = root / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    for split in ("trainaug", "train", "val"):
        (lists / f"{split}.txt").write_text("\n".join(f"2007_{i:06}" for i in range(NUM_IMAGES)))
    for i in range(NUM_IMAGES):
        _write(root / "JPEGImages" / f"2007_{i:06}.jpg", _picture(i))
        ids = np.resize(np.arange(21, dtype=np.uint8), (HEIGHT // 8, WIDTH // 8))
        _write(root / "SegmentationClass" / f"2007_{i:06}.png", np.kron(ids, np.ones((8, 8), dtype=np.uint8)))


def _image_folder(root: Path) -> None:
    for split in ("train", "val"):
        for i in range(NUM_IMAGES):
            _write(root / split / f"n0000000{i % 2}" / f"{i}.JPEG", _picture(i))


_LAYOUTS: dict[str, Callable[[Path], None]] = {
    "coco": _coco,
    "coco_outlines": _coco_outlines,
    "voc": _voc,
    "cityscapes": _cityscapes,
    "masks": _masks,
    "image_folder": _image_folder,
    "voc_masks": _voc_masks,
}


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """``tiny(layout)`` is the root of a data set of a few random pictures in that layout."""
    made: dict[str, Path] = {}

    def build(layout: str) -> Path:
        if layout not in made:
            made[layout] = tmp_path_factory.mktemp(layout)
            _LAYOUTS[layout](made[layout])
        return made[layout]

    return build


RunPython = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def run_python(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunPython]:
    """``run_python(words, cwd, environment=None, seconds=300)``: a command without its imports' time.

    For commands whose start is not what is tested; see warm_python.py.
    """
    script = Path(__file__).with_name("warm_python.py")
    folder = tmp_path_factory.mktemp("commands")
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, str(script)], stdin=pipe, stdout=pipe, text=True) as server:

        def run(
            words: list[str], cwd: Path, environment: dict[str, str] | None = None, seconds: int = 300
        ) -> subprocess.CompletedProcess[str]:
            assert server.stdin is not None and server.stdout is not None
            output, errors = (folder / f"{time.monotonic_ns()}.{name}" for name in ("out", "err"))
            request = {
                "words": words, "cwd": str(cwd), "environment": environment or dict(os.environ),
                "output": str(output), "errors": str(errors), "seconds": seconds,
            }  # fmt: skip
            server.stdin.write(json.dumps(request) + "\n")
            server.stdin.flush()
            code = int(server.stdout.readline())
            return subprocess.CompletedProcess(words, code, output.read_text(), errors.read_text())

        yield run


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Makes this process one that runs a notebook; the list is what it has shown, texts as text.

    The executed notebooks test the same with the real ones.
    """
    shown: list[Any] = []

    def display(content: Any, raw: bool = False, display_id: bool = False) -> SimpleNamespace:
        shown.append(content["text/plain"] if raw else content)
        return SimpleNamespace(update=display)

    shell = SimpleNamespace(kernel=None)
    places: Any = ModuleType("IPython"), ModuleType("IPython.display")
    places[0].get_ipython, places[0].display, places[1].display = lambda: shell, places[1], display
    for place in places:
        monkeypatch.setitem(sys.modules, place.__name__, place)
    return shown


@pytest.fixture(scope="session")
def as_trained() -> Callable[[nn.Module], nn.Module]:
    """Draws BatchNorm statistics, scales, shifts and biases: nothing is 0 or 1; in eval mode."""

    def randomize(model: nn.Module) -> nn.Module:
        generator = torch.Generator().manual_seed(1)
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                for tensor in (module.weight, module.running_var):
                    tensor.data.uniform_(0.6, 1.4, generator=generator)
                for tensor in (module.bias, module.running_mean):
                    tensor.data.normal_(0, 0.1, generator=generator)
            elif isinstance(module, nn.Conv2d) and module.bias is not None:
                module.bias.data.normal_(0, 0.5, generator=generator)
        return model.eval()

    return randomize
