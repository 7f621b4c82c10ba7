"""Covers deploy/latency/units.py, deploy/latency/block_onnx.py, deploy/latency/table.py,
deploy/latency/measuring.py, deploy/latency/device_script.py.

A model in units: each is what the model computes there, and their times add up.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pocketvision.backbones.blocks import InvertedResidual
from pocketvision.backbones.width_groups import width_groups
from pocketvision.backbones.widths import Widths, widths_of
from pocketvision.configs import classifier_v3_large_imagenet, lraspp_v2_camvid, quickstart, ssdlite_v2_person
from pocketvision.core.config import Experiment
from pocketvision.core.errors import InputError
from pocketvision.core.layers import ConvNormAct
from pocketvision.core.protocols import body_of
from pocketvision.deploy.latency.block_onnx import write_block
from pocketvision.deploy.latency.measuring import make_plan, measure, random_widths, write_folder
from pocketvision.deploy.latency.table import LatencyModel, latency_model
from pocketvision.deploy.latency.units import Unit, cut
from pocketvision.models import SingleModel
from pocketvision.runs.build import build_model

CONFIGS = (quickstart, lraspp_v2_camvid, classifier_v3_large_imagenet, ssdlite_v2_person)


def opened(config: Any) -> tuple[Any, Any, Widths]:
    """A model for small images, what builds it with other widths, and its own widths."""
    experiment: Experiment = config.config
    experiment = replace(experiment, model=partial(experiment.model, image_size=(64, 64)))

    def build(widths: Widths) -> SingleModel:
        narrowed: Any = replace(experiment, model=partial(experiment.model, widths=widths))
        return build_model(narrowed, ("a", "b"))  # type: ignore[return-value]

    model = build_model(experiment, ("a", "b"))
    return model, build, widths_of(body_of(model.backbone).architecture)  # type: ignore[union-attr]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.__name__.rpartition(".")[2])
def test_units_at_the_models_widths_are_the_models_parts(config: Any) -> None:
    model, build, widths = opened(config)
    body = body_of(model.backbone)
    units = cut(model, widths, build)
    for unit in units:
        own = [widths[block][part] for block, part in unit.places]
        assert tuple(own) == tuple(axis[-1] for axis in unit.axes)
        subnet = unit.make(own)
        inputs = [torch.zeros(shape) for shape in subnet.shapes]
        outputs = subnet.module(*inputs)
        if isinstance(subnet.module, InvertedResidual):
            assert outputs.shape[1] in [x for pair in widths for x in pair]
    num = sum(p.numel() for p in model.parameters()) - sum(p.numel() for p in body.parameters())
    rest = units[-1].make([axis[-1] for axis in units[-1].axes]).module
    convs = sum(m.weight.numel() for m in rest.modules() if isinstance(m, torch.nn.Conv2d))
    assert 0 < convs <= num


@pytest.mark.parametrize("config", [classifier_v3_large_imagenet, ssdlite_v2_person], ids=["v3", "same"])
def test_blocks_in_onnx_compute_what_pytorch_does(config: Any, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    model, build, widths = opened(config)
    seen = set()
    for unit in cut(model, widths, build)[:-1]:
        kind = " ".join(word for word in unit.name.split() if word[0] not in "0123456789")
        if kind in seen:
            continue
        seen.add(kind)
        torch.manual_seed(0)
        subnet = unit.make(unit.points()[0])
        assert isinstance(subnet.module, InvertedResidual | ConvNormAct)
        write_block(subnet.module, subnet.shapes[0], tmp_path / "block.onnx")
        session = onnxruntime.InferenceSession(str(tmp_path / "block.onnx"))
        x = torch.randn(subnet.shapes[0])
        (found,) = session.run(None, {"input0": x.numpy()})
        np.testing.assert_allclose(found, subnet.module(x).numpy(), rtol=1e-3, atol=1e-4)
    assert len(seen) > 2


def test_interpolation_is_exact_where_time_is_a_product_of_widths() -> None:
    axes = ((8, 16), (24, 48, 96))
    unit = Unit("block", ((0, 1), (1, 0)), axes, lambda point: None)  # type: ignore[arg-type,return-value]
    seconds = {unit.key(point): 1e-6 * point[0] * point[1] for point in unit.points()}
    widths = ((8, 12), (60, 8))
    model = latency_model([unit], {**seconds, "net x": 1e-3}, [(widths, "net x")])
    assert model(widths) == pytest.approx(1e-3)  # the constant is fitted to it
    bare = LatencyModel(model.units, model.values)
    assert bare(widths) == pytest.approx(1e-6 * 12 * 60)
    assert bare(((8, 24), (12, 8))) == pytest.approx(1e-6 * 24 * 12)  # beyond its points, too


def test_a_table_of_another_model_is_refused() -> None:
    unit = Unit("block", ((0, 1),), ((8, 16),), lambda point: None)  # type: ignore[arg-type,return-value]
    with pytest.raises(InputError, match="measure it again"):
        latency_model([unit], {"block 8": 1e-3}, [])


def test_random_widths_keep_groups_together() -> None:
    model, _, widths = opened(quickstart)
    groups = width_groups(body_of(model.backbone))  # type: ignore[arg-type]
    found = random_widths(widths, groups, seed=3)
    assert found == random_widths(widths, groups, seed=3) != random_widths(widths, groups, seed=4)
    for group in groups:
        assert len({found[block][part] for block, part in group.places}) == 1


def test_a_folder_of_layers_measures_itself_without_this_package(tmp_path: Path) -> None:
    """The script runs where there is neither PyTorch nor this package; what was timed is not again."""
    pytest.importorskip("onnxruntime")
    model, build, widths = opened(quickstart)
    units = cut(model, widths, build)[:2]
    few = dict(list(make_plan(units, build, []).subnets.items())[:3])
    folder = tmp_path / "layers"
    write_folder(few, folder, "onnx")
    (folder / "torch.py").write_text("raise SystemExit('PyTorch was imported')")
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    command = [sys.executable, "measure.py", "--output", "latency.json"]
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    table = json.loads((folder / "latency.json").read_text())
    assert set(table["seconds"]) == set(few) and all(0 < s < 1 for s in table["seconds"].values())
    assert (table["backend"], table["threads"]) == ("onnx", 1)
    assert measure(few, "onnx", 1, table["seconds"]) == table["seconds"]
    again = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert again.returncode == 1 and "exists already" in again.stderr


def test_torch_times_the_same_subnets() -> None:
    model, build, widths = opened(quickstart)
    plan = make_plan(cut(model, widths, build)[:1], build, [widths])
    seconds = measure(plan.subnets, "torch", 1, {})
    ((_, key),) = plan.nets
    assert set(seconds) == set(plan.subnets) and seconds[key] == max(seconds.values())
