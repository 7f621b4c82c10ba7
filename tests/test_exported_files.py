"""The clients of docs/exported_files.md say what Predictor says, and the page names all metadata."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from pocketvision.configs import quickstart
from pocketvision.core.resize import Resize
from pocketvision.deploy.export.to_file import export_model
from pocketvision.deploy.formats import ExportOptions
from pocketvision.deploy.predict.predictor import Predictor
from pocketvision.deploy.runtimes.artifact import Artifact

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "exported_files.md").read_text(encoding="utf-8")
CLIENTS = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["stretch", "letterbox"])
@pytest.mark.parametrize(("format", "suffix", "client"), [("onnx", ".onnx", 0), ("openvino", ".xml", 1)])
def test_a_client_says_what_predictor_says(
    format: str, suffix: str, client: int, mode: str, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    model = quickstart.model(("cat", None, "dog"), image_size=(64, 96), width_mult=0.35)
    model.resize = Resize((64, 96), mode=mode)  # type: ignore[arg-type]
    for block in model.head.class_blocks:
        block[1].weight.data *= 20_000  # so that scores differ
    model.best_threshold = 0.6
    path = export_model(model.eval(), format, tmp_path / f"m{suffix}", ExportOptions(nms=True))
    image = np.random.default_rng(0).integers(0, 256, (70, 130, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "photo.png"), image)
    (tmp_path / "client.py").write_text(CLIENTS[client])
    command = [sys.executable, "client.py", path.name, "photo.png"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    found = [line.split() for line in done.stdout.splitlines()]
    expected = Predictor.load(path)(tmp_path / "photo.png")
    assert expected.boxes is not None and expected.scores is not None and len(expected.boxes) > 5
    assert [name for name, *_ in found] == expected.names
    numbers = np.array([[float(value) for value in values] for _, *values in found])
    np.testing.assert_allclose(numbers[:, 0], expected.scores, atol=1e-3)
    np.testing.assert_allclose(numbers[:, 1:], expected.boxes, atol=0.06)


def test_the_page_names_every_field() -> None:
    for field in fields(Artifact):
        assert f"`{field.name}`" in PAGE, field.name
    assert len(CLIENTS) == 2 and all(len([*filter(None, client.splitlines())]) <= 20 for client in CLIENTS)
