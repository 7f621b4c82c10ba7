"""Layers as .tflite files, converted by one process of the converters' environment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from pocketvision.core.progress import Progress
from pocketvision.deploy.converters.environment import Converters, converter_python
from pocketvision.deploy.converters.process import run_script
from pocketvision.deploy.latency.units import Subnet

PLAN = "plan.json"


def write_litert_layers(subnets: Mapping[str, Callable[[], Subnet]], folder: Path) -> None:
    """Write each subnet into ``folder``, and its plan.json.

    Raises:
        InputError: there is no converters' environment, or the converter fails.
    """
    python = converter_python(Converters())
    layers = {key: f"{number:04}.pt2" for number, key in enumerate(subnets)}
    with Progress("writing layers", len(layers), "files") as progress:
        for key, name in layers.items():
            _write_program(subnets[key](), folder / name)
            progress.advance()
    with Progress("converting layers (litert)", len(layers), "files") as progress:
        run_script(
            python, "litert_layers_script.py", {"layers": layers}, folder / PLAN,
            lambda _: progress.advance(len(list(folder.glob("*.tflite"))) - progress.done),
        )  # fmt: skip


def _write_program(subnet: Subnet, path: Path) -> None:
    module = subnet.module if subnet.takes_images else _ChannelsLast(subnet.module)
    program = torch.export.export(module, _inputs(subnet), strict=False)
    program.example_inputs = None
    torch.export.save(program, path)


def _inputs(subnet: Subnet) -> tuple[Tensor, ...]:
    if subnet.takes_images:
        return tuple(torch.zeros(shape, dtype=torch.uint8) for shape in subnet.shapes)
    return tuple(torch.zeros(n, h, w, c) for n, c, h, w in subnet.shapes)


class _ChannelsLast(nn.Module):
    """Maps go in and come out as (N, H, W, C), as LiteRT keeps them between layers.

    Otherwise a layer alone would be timed with two transpositions that no network has.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *maps: Tensor) -> tuple[Tensor, ...]:
        outputs = self.module(*(x.permute(0, 3, 1, 2) for x in maps))
        several = outputs if isinstance(outputs, tuple) else (outputs,)
        return tuple(x.permute(0, 2, 3, 1) if x.ndim == 4 else x for x in several)
