"""What ``adapt`` and ``search`` share on the command line: a trained network, and a latency to reach."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pocketvision.core.command import find_config
from pocketvision.core.errors import InputError
from pocketvision.core.files import check_empty, read_json, write_json

if TYPE_CHECKING:
    from pocketvision.tasks.adapt.result import AdaptedSource

TABLE = "latency.json"
_SETTINGS = "settings.json"
_UNITS = {"ms": 1e-3, "x": None, "s": 1.0}
_KEPT = ("source", "overrides", "latency", "backend", "threads", "table", "images", "steps")


def add_latency_options(parser: argparse.ArgumentParser) -> None:
    """What to begin with, the latency to reach, how it is measured, and where to write."""
    add = parser.add_argument
    add("source", metavar="RUN|CONFIG", nargs="?", help="a run, or a config with model.weights=FILE")
    add("overrides", metavar="part.key=value", nargs="*", help="values to change")
    add("--latency", metavar="0.8x|12ms", help="what to reach: a part of the latency now, or a time")
    add("--backend", default="onnx", help="onnx, torch, openvino or litert (default: onnx)")
    add("--threads", type=int, default=1, metavar="N", help="CPU threads (default: 1)")
    add("--table", type=Path, metavar="FILE", help="latencies that a device wrote")
    add("--write-layers", type=Path, metavar="DIR", help="write layers and a script for a device, and stop")
    add("--run-dir", type=Path, metavar="DIR", help="new folder for the result")
    add("--resume", type=Path, metavar="DIR", help="go on with what was stopped")


def check_latency(arguments: argparse.Namespace, *counts: str) -> None:
    """Tell bad options before anything is loaded; ``counts`` are the verb's own numbers from 1."""
    if arguments.source is None:
        raise InputError("Say what to begin with: a RUN, a CONFIG with model.weights=FILE, or --resume DIR.")
    for name in ("threads", "steps", "images", *counts):
        if getattr(arguments, name) < 1:
            option = name.replace("_", "-")
            raise InputError(f"--{option} is {getattr(arguments, name)}: give a number from 1.")
    if arguments.write_layers is not None:
        check_empty(arguments.write_layers, "--write-layers")
        return
    if arguments.latency is None or arguments.run_dir is None:
        raise InputError("Give --latency, as 0.8x or 12ms, and --run-dir DIR for the result.")
    parse_latency(arguments.latency)
    check_empty(arguments.run_dir, "--run-dir")


def parse_latency(text: str) -> tuple[float, bool]:
    """``0.8x`` -> (0.8, True), a share of the latency now; ``12ms`` -> (0.012, False), seconds.

    Raises:
        InputError: it is neither.
    """
    unit = next((unit for unit in _UNITS if text.endswith(unit)), "")
    try:
        number = float(text.removesuffix(unit))
    except ValueError:
        number = 0.0
    if not unit or not 0 < number < float("inf") or (unit == "x" and number >= 1):
        raise InputError(f"--latency is {text}: give a share below 1 as 0.8x, or a time as 12ms.")
    factor = _UNITS[unit]
    return (number, True) if factor is None else (number * factor, False)


def target_seconds(text: str, now: float) -> float:
    """The latency that ``--latency`` asks of a network that takes ``now`` seconds."""
    amount, is_share = parse_latency(text)
    return amount * now if is_share else amount


def milliseconds(seconds: float) -> str:
    """A time as text."""
    return f"{seconds * 1e3:.2f} ms"


def source_at(place: str, overrides: Sequence[str]) -> AdaptedSource:
    """What a run folder, or a config with weights, begins with.

    Raises:
        InputError: it is neither, or an override is unknown.
    """
    from pocketvision.tasks.adapt.result import of_config, source_of

    if Path(place).is_dir():
        return source_of(Path(place), overrides)
    return of_config(find_config(place), overrides)


def keep_options(arguments: argparse.Namespace, folder: Path, *own: str) -> None:
    """Write the options, also the verb's ``own``, and a device's table into ``folder``, for ``--resume``."""
    table = None
    if arguments.table is not None:
        from pocketvision.deploy.latency.known import read_table

        table = read_table(arguments.table)
        arguments.table = str(arguments.table)
    write_json(folder / _SETTINGS, {name: getattr(arguments, name) for name in (*_KEPT, *own)})
    if table is not None:
        write_json(folder / TABLE, table)


def take_options(arguments: argparse.Namespace, folder: Path, verb: str) -> None:
    """Take the options that ``verb`` kept in ``folder``.

    Raises:
        InputError: it kept none there.
    """
    file = folder / _SETTINGS
    if not file.is_file():
        raise InputError(f"{arguments.resume} was not begun by {verb}: there is no {file}.")
    for name, value in read_json(file).items():
        setattr(arguments, name, value)
    arguments.run_dir = arguments.resume


def tell_layers(folder: Path, verb: str, backend: str) -> None:
    """Say what to do with the layers in ``folder``, written for ``backend``."""
    there = f"python measure.py --backend {backend} --threads 1 --output latency.json"
    print(f"{folder}: copy it to the device, and there: {there}")
    print(f"back here: pocketvision {verb} ... --table latency.json")
