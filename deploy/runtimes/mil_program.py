"""A Core ML program, computed operator by operator in PyTorch: Core ML runs on Apple's systems only."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pocketvision.deploy.runtimes.artifact import METADATA_KEY, Artifact
from pocketvision.deploy.runtimes.protocol import Runtime

Values = Mapping[str, Any]


@dataclass(frozen=True)
class MilProgram:
    """What a package holds: operators in order, constants by name, inputs and outputs as described."""

    operators: tuple[Values, ...]
    constants: Mapping[str, Tensor]
    inputs: tuple[Values, ...]
    outputs: tuple[Values, ...]
    metadata: Mapping[str, str]

    @property
    def operator_kinds(self) -> tuple[str, ...]:
        """The kinds of operators, each once."""
        return tuple(dict.fromkeys(operator["type"] for operator in self.operators))


def read_listing(path: Path) -> MilProgram:
    """The program in an .npz file of ``coreml_script.py``."""
    with np.load(path, allow_pickle=False) as file:
        values = json.loads(str(file["program"]))
        constants = {name: torch.from_numpy(file[name]) for name in file.files if name != "program"}
    lists = (tuple(values[name]) for name in ("operators", "inputs", "outputs"))
    operators, inputs, outputs = lists
    return MilProgram(operators, constants, inputs, outputs, values["metadata"])


class MilRuntime(Runtime):
    """Runs a program with the numbers that lie in the file: what it calls fp16 is rounded to float16.

    Raises:
        InputError: the metadata are broken or not ours.
    """

    def __init__(self, program: MilProgram, path: Path) -> None:
        artifact = Artifact.from_json(program.metadata.get(METADATA_KEY), str(path))
        super().__init__(artifact, str(path))
        self.program = program

    @torch.inference_mode()
    def run(self, images: Tensor) -> Sequence[Tensor]:
        found: dict[str, Tensor] = {"images": images.float()}
        for operator in self.program.operators:
            inputs = {name: self._value(value, found) for name, value in operator["inputs"].items()}
            (output,) = operator["outputs"]
            found[output["name"]] = _stored(OPERATORS[operator["type"]](inputs), output["type"])
        is_map = self.artifact.outputs == ("label_map",)
        return [found[name].to(torch.uint8 if is_map else torch.float32) for name in self.artifact.outputs]

    def _value(self, value: Any, found: Mapping[str, Tensor]) -> Any:
        if value is None or "value" in value:
            return None if value is None else value["value"]
        if "list" in value:
            return [self._value(item, found) for item in value["list"]]
        if "constant" in value:
            constant = self.program.constants[value["constant"]]
            return constant.float() if constant.is_floating_point() else constant
        return found[value["tensor"]]


def _stored(value: Tensor, kind: str) -> Tensor:
    if kind == "fp16":
        return value.half().float()
    return value.to(torch.int32) if kind.startswith("int") else value


def _padded(values: Values, x: Tensor, number: float = 0.0) -> Tensor:
    """``x`` with the borders that ``pad_type`` asks for: top, bottom, left, right."""
    if values["pad_type"] == "valid":
        return x
    if values["pad_type"] != "custom":
        raise ValueError(f"pad_type {values['pad_type']} is not known here")
    top, bottom, left, right = values["pad"]
    return F.pad(x, (left, right, top, bottom), value=number)


def _conv(values: Values) -> Tensor:
    x = _padded(values, values["x"])
    steps, gaps, groups = values["strides"], values["dilations"], values["groups"]
    return F.conv2d(x, values["weight"], values.get("bias"), steps, 0, gaps, groups)


def _avg_pool(values: Values) -> Tensor:
    if any(values["pad"]) or values["ceil_mode"]:
        raise ValueError("avg_pool with borders is not known here")
    return F.avg_pool2d(values["x"], values["kernel_sizes"], values["strides"])


def _upsample(values: Values) -> Tensor:
    height, width = values["x"].shape[-2:]
    size = (round(height * values["scale_factor_height"]), round(width * values["scale_factor_width"]))
    return F.interpolate(values["x"], size, mode="bilinear", align_corners=values["align_corners"])


def _pad(values: Values) -> Tensor:
    pairs = [values["pad"][i : i + 2] for i in range(0, len(values["pad"]), 2)]
    borders = [side for pair in reversed(pairs) for side in pair]
    return F.pad(values["x"], borders, value=float(values["constant_val"]))


def _mean(values: Values) -> Tensor:
    mean: Tensor = values["x"].mean(dim=values["axes"], keepdim=values["keep_dims"])
    return mean


def _sum(values: Values) -> Tensor:
    total: Tensor = values["x"].sum(dim=values["axes"], keepdim=values["keep_dims"])
    return total


def _repeat(values: Values) -> Tensor:
    size = [int(values[f"scale_factor_{side}"]) for side in ("height", "width")]
    x: Tensor = values["x"]
    return x.repeat_interleave(size[0], dim=-2).repeat_interleave(size[1], dim=-1)


def _gather(values: Values) -> Tensor:
    x, indices, axis = torch.as_tensor(values["x"]), torch.as_tensor(values["indices"]), values["axis"]
    chosen = x.index_select(axis, indices.reshape(-1).long())
    return chosen.reshape(*x.shape[:axis], *indices.shape, *x.shape[axis % x.ndim + 1 :])


def _slice(values: Values) -> Tensor:
    x: Tensor = values["x"]
    masks = [values.get(f"{side}_mask") or [False] * x.ndim for side in ("begin", "end")]
    starts, stops = (
        [None if left_out else int(place) for left_out, place in zip(mask, values[side], strict=True)]
        for mask, side in zip(masks, ("begin", "end"), strict=True)
    )
    steps = values.get("stride") or [1] * x.ndim
    if any(values.get("squeeze_mask") or ()) or min(steps) < 1:
        raise ValueError("slice_by_index that drops or turns an axis is not known here")
    return x[tuple(slice(*places) for places in zip(starts, stops, steps, strict=True))]


def _squeeze(values: Values) -> Tensor:
    x: Tensor = values["x"]
    return x.squeeze(tuple(values["axes"]))


def _argmax(values: Values) -> Tensor:
    best: Tensor = values["x"].argmax(dim=values["axis"], keepdim=values["keep_dims"])
    return best


OPERATORS: dict[str, Callable[[Values], Tensor]] = {
    "add": lambda v: torch.add(v["x"], v["y"]),
    "avg_pool": _avg_pool,
    "cast": lambda v: v["x"],
    "clip": lambda v: torch.clip(v["x"], v["alpha"], v["beta"]),
    "concat": lambda v: torch.cat(v["values"], dim=v["axis"]),
    "conv": _conv,
    "gather": _gather,
    "linear": lambda v: F.linear(v["x"], v["weight"], v["bias"]),
    "mul": lambda v: torch.mul(v["x"], v["y"]),
    "pad": _pad,
    "real_div": lambda v: torch.div(v["x"], v["y"]),
    "reduce_argmax": _argmax,
    "reduce_mean": _mean,
    "reduce_sum": _sum,
    "relu": lambda v: F.relu(v["x"]),
    "relu6": lambda v: F.relu6(v["x"]),
    "reshape": lambda v: torch.reshape(v["x"], v["shape"]),
    "sigmoid": lambda v: torch.sigmoid(v["x"]),
    "sigmoid_hard": lambda v: torch.clip(v["alpha"] * v["x"] + v["beta"], 0, 1),
    "slice_by_index": _slice,
    "softmax": lambda v: torch.softmax(v["x"], dim=v["axis"]),
    "squeeze": _squeeze,
    "sub": lambda v: torch.sub(v["x"], v["y"]),
    "thresholded_relu": lambda v: torch.where(v["x"] >= v["alpha"], v["x"], 0.0),
    "tile": lambda v: torch.tile(v["x"], tuple(v["reps"])),
    "transpose": lambda v: torch.permute(v["x"], v["perm"]),
    "upsample_bilinear": _upsample,
    "upsample_nearest_neighbor": _repeat,
}
"""What occurs in this project's models, by Core ML's names; inputs by name."""
