"""Covers deploy/runtimes/mil_structure.py.

Core ML's operators in PyTorch against what its documentation says of them, and a structure that is not right.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pocketvision.core.errors import InputError
from pocketvision.deploy.runtimes.described import describe
from pocketvision.deploy.runtimes.mil_program import OPERATORS, MilProgram, MilRuntime, read_listing
from pocketvision.deploy.runtimes.mil_structure import check_structure
from pocketvision.models import VisionModel

GRID = torch.arange(24.0).reshape(1, 2, 3, 4) - 7


@pytest.mark.parametrize(
    ("kind", "inputs", "expected"),
    [
        ("gather", {"indices": [1], "axis": 1}, GRID[:, 1:]),
        (
            "slice_by_index",
            {
                "begin": [0, 1, 1, 0],
                "end": [1, 2, 3, 3],
                "stride": [1, 1, 1, 2],
                "begin_mask": [True, False, False, True],
                "end_mask": [True, True, False, False],
            },
            GRID[:, 1:, 1:3, :3:2],
        ),
        ("slice_by_index", {"begin": [0, 0, 0, 0], "end": [1, 2, 2, 4]}, GRID[:, :, :2]),
        ("clip", {"alpha": -1.0, "beta": 2.0}, GRID.clamp(-1, 2)),
        ("thresholded_relu", {"alpha": 3.0}, torch.where(GRID >= 3, GRID, torch.zeros(()))),
        ("sigmoid_hard", {"alpha": 0.1, "beta": 0.5}, (0.1 * GRID + 0.5).clamp(0, 1)),
        ("transpose", {"perm": [0, 2, 3, 1]}, GRID.permute(0, 2, 3, 1)),
        ("reduce_mean", {"axes": [2, 3], "keep_dims": True}, GRID.mean((2, 3), keepdim=True)),
        ("reduce_sum", {"axes": [-1], "keep_dims": False}, GRID.sum(-1)),
        ("reduce_argmax", {"axis": 1, "keep_dims": False}, torch.ones(1, 3, 4)),
        ("tile", {"reps": [1, 1, 2, 1]}, torch.cat([GRID, GRID], dim=2)),
        (
            "upsample_nearest_neighbor",
            {"scale_factor_height": 2.0, "scale_factor_width": 2.0},
            nn.UpsamplingNearest2d(scale_factor=2)(GRID),
        ),
        (
            "avg_pool",
            {"pad": [0] * 4, "ceil_mode": False, "kernel_sizes": [3, 2], "strides": [3, 2]},
            GRID.reshape(1, 2, 1, 3, 2, 2).mean((3, 5)),
        ),
        (
            "pad",
            {"pad": [0, 0, 0, 0, 1, 0, 0, 2], "constant_val": 5.0},
            nn.ConstantPad2d((0, 2, 1, 0), 5)(GRID),
        ),
    ],
)
def test_operators(kind: str, inputs: dict[str, Any], expected: Tensor) -> None:
    assert torch.equal(OPERATORS[kind]({"x": GRID, **inputs}).float(), expected.float())


def test_a_convolution_with_borders_of_four_widths() -> None:
    layer = nn.Conv2d(2, 4, 3, stride=2, groups=2)
    values = {"x": GRID, "weight": layer.weight, "bias": layer.bias, "strides": [2, 2], "dilations": [1, 1]}
    values |= {"groups": 2, "pad_type": "custom", "pad": [1, 0, 2, 1]}
    assert torch.equal(OPERATORS["conv"](values), layer(nn.ZeroPad2d((2, 1, 1, 0))(GRID)))
    with pytest.raises(ValueError, match="pad_type same is not known"):
        OPERATORS["conv"]({**values, "pad_type": "same"})


@pytest.fixture
def program(models: dict[str, VisionModel], tmp_path: Path) -> MilProgram:
    """A program that answers with the mean of the red channel for every class."""
    artifact = replace(describe(models["classification"]), batch=1, has_float16=True)
    size = list(artifact.image_size)
    operators = [
        {
            "type": "reduce_mean",
            "inputs": {"x": {"tensor": "images"}, "axes": {"value": [2, 3]}, "keep_dims": {"value": False}},
            "outputs": [{"name": "mean", "type": "fp16"}],
        },
        {
            "type": "linear",
            "inputs": {"x": {"tensor": "mean"}, "weight": {"constant": "w"}, "bias": None},
            "outputs": [{"name": "class_logits", "type": "fp32"}],
        },
    ]
    listing = {
        "operators": operators,
        "inputs": [{"name": "images", "kind": "RGB", "shape": [1, 3, *size]}],
        "outputs": [{"name": "class_logits", "kind": "FLOAT32", "shape": [1, 4]}],
        "metadata": {"pocketvision": artifact.to_json()},
    }
    weight = np.zeros((4, 3), np.float16)
    weight[:, 0] = 1 / 3
    np.savez(tmp_path / "listing.npz", program=np.array(json.dumps(listing)), w=weight)
    return read_listing(tmp_path / "listing.npz")


def layer(value: float) -> nn.Linear:
    made = nn.Linear(3, 4)
    made.weight.data = torch.tensor([[value, 0, 0]] * 4)
    return made


def test_numbers_are_those_of_the_file(program: MilProgram, images: Tensor) -> None:
    """Rounded to float16: the weight, and what the program calls fp16."""
    runtime = MilRuntime(program, Path("m.mlpackage"))
    mean = images[:, 0].float().mean((1, 2)).half().float()
    expected = (mean * float(np.float16(1 / 3)))[:, None].expand(-1, 4)
    assert torch.equal(runtime(images)["class_logits"], expected)


def test_a_structure_that_is_right(program: MilProgram) -> None:
    checks = check_structure(program, layer(1 / 3), Path("m.mlpackage"))
    assert all(check.passed for check in checks)
    assert checks[1].text == "the input is images RGB 1x3x64x80"
    assert checks[3].text == "1 of 1 weights lie in it within float16"


@pytest.mark.parametrize(
    ("change", "value", "failed"),
    [
        ({}, 1 / 3 * 1.001, "0 of 1 weights lie in it within float16, not weight"),
        ({"inputs": ({"name": "images", "kind": "BGR", "shape": [1, 3, 64, 80]},)}, 1 / 3, "BGR"),
        ({"outputs": ({"name": "class_logits", "kind": "FLOAT32", "shape": [1, 5]},)}, 1 / 3, "1x5"),
        ({"outputs": ({"name": "others", "kind": "FLOAT32", "shape": [1, 4]},)}, 1 / 3, "others"),
        ({"operators": ({"type": "lstm"},)}, 1 / 3, "not known: lstm"),
    ],
)
def test_a_structure_that_is_not(
    change: dict[str, Any], value: float, failed: str, program: MilProgram
) -> None:
    checks = check_structure(replace(program, **change), layer(value), Path("m.mlpackage"))
    (wrong,) = (check.text for check in checks if not check.passed)
    assert failed in wrong


def test_somebody_else_s(program: MilProgram) -> None:
    with pytest.raises(InputError, match=r"m.mlpackage was not exported by pocketvision"):
        check_structure(replace(program, metadata={}), layer(1 / 3), Path("m.mlpackage"))
