"""A model's latency on a device: from its table there, or measured here and kept."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from pocketvision.backbones.width_groups import adaptable_body, width_groups
from pocketvision.backbones.widths import Widths, widths_of
from pocketvision.core.errors import InputError
from pocketvision.core.files import read_json, write_json
from pocketvision.datasets.images.cache_folder import cache_folder
from pocketvision.deploy.latency.device_script import describe_table
from pocketvision.deploy.latency.measuring import (
    BACKENDS,
    Make,
    TimingPlan,
    make_plan,
    measure,
    random_widths,
)
from pocketvision.deploy.latency.table import LatencyModel, latency_model
from pocketvision.deploy.latency.units import Build, Unit, cut, whole_net
from pocketvision.models import SingleModel

_NUM_NETS = 3
"""Whole networks that the constant is fitted to: the model and narrower ones."""
_PACKAGES = {"onnx": "onnxruntime", "torch": "torch", "openvino": "openvino", "litert": "ai-edge-litert"}


class Device(NamedTuple):
    """A runtime on this machine."""

    backend: str
    threads: int


class ModelPlan(NamedTuple):
    """What has to be timed of a model, and the units that it is put together from."""

    units: list[Unit]
    plan: TimingPlan


def plan_of_model(model: SingleModel, build: Build) -> ModelPlan:
    """What has to be timed of ``model``, which ``build`` makes with other widths.

    Raises:
        InputError: its widths can't change.
    """
    body = adaptable_body(model.backbone)
    widths = widths_of(body.architecture)
    units = cut(model, widths, build)
    groups = width_groups(body)
    nets = [widths, *(random_widths(widths, groups, seed) for seed in range(1, _NUM_NETS))]
    return ModelPlan(units, make_plan(units, build, nets))


def measured_here(wanted: ModelPlan, device: Device) -> tuple[LatencyModel, dict[str, Any]]:
    """The latency by widths on this machine, and the table behind it.

    Raises:
        InputError: a package is missing, or the backend is another.
    """
    table = timed_here(wanted.plan.subnets, device)
    return from_table(wanted, table["seconds"]), table


def timed_here(subnets: Mapping[str, Make], device: Device) -> dict[str, Any]:
    """The table of ``subnets`` on this machine; what was timed before is not again.

    Raises:
        InputError: a package is missing, or the backend is another.
    """
    if device.backend not in BACKENDS:
        raise InputError(
            f"--backend {device.backend} can't be timed by layers: choose {', '.join(BACKENDS)}."
        )
    file = kept_table(device)
    known = read_table(file)["seconds"] if file.is_file() else {}
    seconds = measure(subnets, device.backend, device.threads, known)
    write_json(file, describe_table(device.backend, device.threads, seconds))
    return describe_table(device.backend, device.threads, {key: seconds[key] for key in subnets})


def from_table(wanted: ModelPlan, seconds: Mapping[str, float]) -> LatencyModel:
    """The latency by widths from a table's seconds.

    Raises:
        InputError: the table lacks something.
    """
    return latency_model(wanted.units, seconds, wanted.plan.nets)


def read_table(file: Path) -> dict[str, Any]:
    """A table: its backend, threads, machine, and seconds by layer.

    Raises:
        InputError: it can't be read, or is none.
    """
    table = read_json(file)
    fields = {"backend": str, "threads": int, "machine": str, "seconds": dict}
    is_table = isinstance(table, dict) and all(isinstance(table.get(k), kind) for k, kind in fields.items())
    if not is_table or not all(isinstance(x, float) and x > 0 for x in table["seconds"].values()):
        raise InputError(f"{file} is no table of latencies: measure it again.")
    return dict(table)


def time_networks(build: Build, several: Mapping[str, Widths], device: Device) -> dict[str, float]:
    """Seconds of whole networks on this machine, measured now, one beside the other."""
    keys = {}
    subnets: dict[str, Any] = {}
    for name, widths in several.items():
        key, subnet = whole_net(build, widths)
        keys[name] = key
        subnets[key] = lambda subnet=subnet: subnet
    seconds = measure(subnets, device.backend, device.threads, {})
    return {name: seconds[key] for name, key in keys.items()}


def kept_table(device: Device) -> Path:
    """The file of what was timed on this machine, one for each version of a runtime and number of threads."""
    version = importlib.metadata.version(_PACKAGES[device.backend])
    words = (device.backend, version, device.threads, platform.node(), platform.machine(), _processor())
    return cache_folder("latency") / f"{device.backend}_{sha256(repr(words).encode()).hexdigest()[:16]}.json"


def _processor() -> str:
    """The processor's name, where the system says it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(errors="replace").splitlines() if info.is_file() else []
    return next((line for line in lines if line.startswith("model name")), platform.processor())
