"""Covers deploy/latency/litert_layers.py, deploy/converters/litert_layers_script.py: layers for LiteRT."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from pocketvision.backbones.widths import Widths, widths_of
from pocketvision.configs.quickstart import model as make_model
from pocketvision.core.errors import InputError
from pocketvision.core.protocols import body_of
from pocketvision.deploy.converters.environment import Converters
from pocketvision.deploy.latency.litert_layers import PLAN, write_litert_layers
from pocketvision.deploy.latency.measuring import make_plan, measure, write_folder
from pocketvision.deploy.latency.units import Unit, cut
from pocketvision.models import Detector
from pocketvision.tools.latency_options import tell_layers


def build(widths: Widths | None = None) -> Detector:
    return make_model(("a", "b"), image_size=(64, 64), widths=widths).eval()


def units_of(model: Detector) -> list[Unit]:
    return cut(model, widths_of(body_of(model.backbone).architecture), build)  # type: ignore[union-attr]


@pytest.mark.slow
def test_a_block_the_heads_and_a_network_are_converted_in_one_process_and_timed(
    converters: Converters, tmp_path: Path
) -> None:
    interpreter = pytest.importorskip("ai_edge_litert.interpreter")
    model = build()
    several = units_of(model)
    block, rest = several[1], several[-1]
    points = {unit.key(unit.points()[0]): (unit, unit.points()[0]) for unit in (block, rest)}
    made = {key: unit.make(point) for key, (unit, point) in points.items()}
    subnets = {key: lambda key=key: made[key] for key in made}  # type: ignore[misc]
    widths = widths_of(body_of(model.backbone).architecture)  # type: ignore[union-attr]
    plan = make_plan([], build, [widths])
    folder = tmp_path / "layers"
    folder.mkdir()
    write_litert_layers(subnets | plan.subnets, folder)
    files = json.loads((folder / PLAN).read_text())
    assert sorted(file.name for file in folder.iterdir()) == sorted([PLAN, *files.values()])
    for key, subnet in made.items():
        opened = interpreter.Interpreter(str(folder / files[key]))
        operators = [operator["op_name"] for operator in opened._get_ops_details()]
        run = opened.get_signature_runner()
        maps = [torch.randn(shape) for shape in subnet.shapes]
        found = run(**{f"args_{i}": x.permute(0, 2, 3, 1).numpy() for i, x in enumerate(maps)})
        expected = subnet.module(*maps)
        for i, value in enumerate(expected if isinstance(expected, tuple) else (expected,)):
            value = value.permute(0, 2, 3, 1) if value.ndim == 4 else value
            np.testing.assert_allclose(found[f"output_{i}"], value.numpy(), rtol=1e-3, atol=1e-4)
        if key.startswith("block"):
            assert "TRANSPOSE" not in operators, "no network has them between its blocks"
    ((_, network),) = plan.nets
    seconds = measure(plan.subnets, "litert", 1, {})
    assert 0 < seconds[network] < 1


@pytest.mark.parametrize(("backend", "package"), [("onnx", "onnxruntime"), ("openvino", "openvino")])
def test_the_device_is_told_its_runtime(
    backend: str, package: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_folder({}, tmp_path / "layers", backend)
    assert package in (tmp_path / "layers" / "requirements.txt").read_text()
    tell_layers(tmp_path / "layers", "adapt", backend)
    assert f"python measure.py --backend {backend} --threads 1" in capsys.readouterr().out


def test_pytorch_has_no_files_for_a_device(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="torch has no files for a device"):
        write_folder({}, tmp_path / "layers", "torch")
