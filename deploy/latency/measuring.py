"""Measure the units of a model on this device, or write them as files for another."""

from __future__ import annotations

import io
import json
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from pocketvision.backbones.blocks import InvertedResidual
from pocketvision.backbones.width_groups import WidthGroup
from pocketvision.backbones.widths import WIDTH_STEP, Widths
from pocketvision.core.errors import InputError
from pocketvision.core.layers import ConvNormAct
from pocketvision.core.progress import Progress
from pocketvision.deploy.export.to_onnx import OPSET
from pocketvision.deploy.latency import device_script
from pocketvision.deploy.latency.block_onnx import write_block
from pocketvision.deploy.latency.litert_layers import PLAN, write_litert_layers
from pocketvision.deploy.latency.units import Build, Subnet, Unit, whole_net
from pocketvision.deploy.packages import optional

BACKENDS = ("onnx", "torch", "openvino", "litert")
_MODULES = {"onnx": "onnxruntime", "openvino": "openvino", "litert": "ai_edge_litert"}
_PACKAGES = {"onnx": "onnxruntime>=1.20", "litert": "ai-edge-litert>=1.0"}
"""What a device needs."""
Make = Callable[[], Subnet]


class TimingPlan(NamedTuple):
    """What is to be timed, by key, and the whole networks among it with their widths."""

    subnets: dict[str, Make]
    nets: list[tuple[Widths, str]]


def make_plan(units: Sequence[Unit], build: Build, several: Sequence[Widths]) -> TimingPlan:
    """Every point of the units, and the networks of ``several`` widths."""
    subnets: dict[str, Make] = {
        unit.key(point): lambda unit=unit, point=point: unit.make(point)  # type: ignore[misc]
        for unit in units
        for point in unit.points()
    }
    nets: list[tuple[Widths, str]] = []
    for widths in several:
        key, subnet = whole_net(build, widths)
        subnets[key] = lambda subnet=subnet: subnet  # type: ignore[misc]
        nets.append((widths, key))
    return TimingPlan(subnets, nets)


def random_widths(
    widths: Widths, groups: Sequence[WidthGroup], seed: int, low: float = 0.35
) -> tuple[tuple[int, int], ...]:
    """Widths with each group between ``low`` and all of its own."""
    generator = np.random.default_rng(seed)
    changed = tuple((expanded, out) for expanded, out in widths)
    for group in groups:
        share = generator.uniform(low, 1.0)
        changed = group.resized(
            changed, max(WIDTH_STEP, round(group.width(widths) * share / WIDTH_STEP) * WIDTH_STEP)
        )
    return changed


def measure(
    subnets: Mapping[str, Make], backend: str, threads: int, known: Mapping[str, float]
) -> dict[str, float]:
    """Seconds of every subnet that is not ``known`` yet, with those that are.

    Raises:
        InputError: a package is missing.
    """
    wanted = {key: make for key, make in subnets.items() if key not in known}
    if not wanted:
        return dict(known)
    if backend == "torch":
        return {**known, **_measure_torch(wanted, threads)}
    optional(_MODULES[backend])
    with tempfile.TemporaryDirectory(prefix="pocketvision-latency-") as work:
        _write_files(wanted, Path(work), backend)
        with Progress(f"timing layers ({backend})", device_script.PASSES * len(wanted), "layers") as progress:
            found = device_script.measure_folder(
                Path(work), backend, threads, lambda number, total: progress.advance()
            )
    return {**known, **found}


def write_folder(subnets: Mapping[str, Make], folder: Path, backend: str) -> None:
    """A folder that measures itself on another device: ``measure.py``, its plan and a file a layer.

    The files are .tflite for LiteRT, else ONNX, which OpenVINO opens too.

    Raises:
        InputError: the backend has no files, or nothing to write them with.
    """
    if backend not in _MODULES:
        files_of = ", ".join(_MODULES)
        raise InputError(f"--backend {backend} has no files for a device: choose one of {files_of}.")
    _write_files(subnets, folder, backend)
    source = files("pocketvision.deploy.latency") / "device_script.py"
    (folder / "measure.py").write_text(source.read_text(encoding="utf-8"), encoding="utf-8")
    packages = ["numpy>=1.26", _PACKAGES.get(backend, backend)]
    (folder / "requirements.txt").write_text("\n".join(packages) + "\n", encoding="utf-8")


def _write_files(subnets: Mapping[str, Make], folder: Path, backend: str) -> None:
    """Write each subnet in the runtime's format, and plan.json."""
    folder.mkdir(parents=True, exist_ok=True)
    if backend == "litert":
        write_litert_layers(subnets, folder)
        return
    plan = {}
    with Progress("writing layers", len(subnets), "files") as progress:
        for number, (key, make) in enumerate(subnets.items()):
            plan[key] = f"{number:04}.onnx"
            _write(make(), folder / plan[key])
            progress.advance()
    (folder / PLAN).write_text(json.dumps(plan, indent=1) + "\n", encoding="utf-8")


def _write(subnet: Subnet, path: Path) -> None:
    if isinstance(subnet.module, InvertedResidual | ConvNormAct):
        write_block(subnet.module, subnet.shapes[0], path)
        return
    optional("onnxscript")
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()), torch.no_grad():
        warnings.simplefilter("ignore")  # of PyTorch about its own code
        exported = torch.onnx.export(
            subnet.module, _inputs(subnet), dynamo=True, opset_version=OPSET, verbose=False
        )
    assert exported is not None
    path.write_bytes(exported.model_proto.SerializeToString())


def _inputs(subnet: Subnet) -> tuple[torch.Tensor, ...]:
    dtype = torch.uint8 if subnet.takes_images else torch.float32
    return tuple(torch.zeros(shape, dtype=dtype) for shape in subnet.shapes)


def _measure_torch(wanted: Mapping[str, Make], threads: int) -> dict[str, float]:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    seconds: dict[str, float] = {}
    try:
        with Progress("timing layers (torch)", device_script.PASSES * len(wanted), "layers") as progress:
            for _ in range(device_script.PASSES):
                for key, make in wanted.items():
                    taken = device_script.fastest(_torch_call(make()))
                    seconds[key] = min(taken, seconds.get(key, taken))
                    progress.advance()
    finally:
        torch.set_num_threads(before)
    return seconds


def _torch_call(subnet: Subnet) -> Callable[[], object]:
    """As :class:`~pocketvision.deploy.runtimes.torch_module.TorchRuntime` runs a model."""
    module = subnet.module.to(memory_format=torch.channels_last)
    inputs = [x.contiguous(memory_format=torch.channels_last) for x in _inputs(subnet)]

    def call() -> object:
        with torch.inference_mode():
            return module(*inputs)

    return call
