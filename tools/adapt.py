"""Narrow a trained network to a latency: python tools/adapt.py RUN --latency 0.8x --run-dir DIR"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pocketvision.core.command import command, find_config
from pocketvision.core.errors import InputError
from pocketvision.core.files import check_empty, check_new, read_json, write_json

if TYPE_CHECKING:
    from pocketvision.deploy.latency.table import LatencyModel
    from pocketvision.tasks.adapt.network import AdaptedNetwork
    from pocketvision.tasks.adapt.path import Stop
    from pocketvision.tasks.adapt.result import AdaptedSource
    from pocketvision.tasks.fit import TrainingResult

_UNITS = {"ms": 1e-3, "x": None, "s": 1.0}
_SETTINGS, _TABLE, _PICTURE = "settings.json", "latency.json", "path.png"
_KEPT = (
    "source", "overrides", "latency", "backend", "threads", "delta", "steps", "tried", "at_once", "images",
    "table",
)  # fmt: skip


def parser() -> argparse.ArgumentParser:
    """The command line of this tool."""
    parser = argparse.ArgumentParser(
        prog="pocketvision adapt",
        description="NetAdapt (arXiv:1804.03230) as for MobileNetV3: narrow a trained network in rounds, "
        "by latencies measured layer by layer, then train it on. RUN-DIR becomes an ordinary run; the search "
        "lies beside it, in RUN-DIR_search.",
    )
    add = parser.add_argument
    add("source", metavar="RUN|CONFIG", nargs="?", help="a run, or a config with model.weights=FILE")
    add("overrides", metavar="part.key=value", nargs="*", help="values to change, also of the last training")
    add("--latency", metavar="0.8x|12ms", help="what to reach: a part of the latency now, or a time")
    add("--backend", default="onnx", help="onnx, torch or openvino (default: onnx)")
    add("--threads", type=int, default=1, metavar="N", help="CPU threads (default: 1)")
    add("--table", type=Path, metavar="FILE", help="latencies that a device wrote")
    add(
        "--write-layers",
        type=Path,
        metavar="DIR",
        help="write the layers with a script for a device, and stop",
    )
    add("--run-dir", type=Path, metavar="DIR", help="new folder for the run")
    add("--resume", type=Path, metavar="DIR", help="go on with a search or last training that was stopped")
    add("--delta", type=float, default=0.01, metavar="S", help="share that a proposal wins (default: 0.01)")
    add("--tried", type=int, default=4, metavar="N", help="proposals trained in a round (default: 4)")
    add("--steps", type=int, default=10, metavar="N", help="steps of a proposal's training (default: 10)")
    add("--at-once", type=int, default=1, metavar="N", help="proposals taken in a round (default: 1)")
    add("--images", type=int, default=32, metavar="N", help="training images to judge by (default: 32)")
    return parser


@command
def main(argv: Sequence[str] | None = None) -> None:
    arguments = parser().parse_intermixed_args(argv)
    if arguments.resume is not None:
        _resume(arguments)
    else:
        _check(arguments)
        source = source_at(arguments.source, arguments.overrides)
        if arguments.write_layers is not None:
            _write_layers(arguments.write_layers, source)
            return
        arguments.table = None if arguments.table is None else str(arguments.table)
        search = _search_folder(arguments.run_dir)
        write_json(search / _SETTINGS, {name: getattr(arguments, name) for name in _KEPT})
        if arguments.table is not None:
            from pocketvision.deploy.latency.known import read_table

            write_json(search / _TABLE, read_table(Path(arguments.table)))
    _adapt(arguments, source_at(arguments.source, arguments.overrides))


def _check(arguments: argparse.Namespace) -> None:
    """Bad options are told before anything is loaded."""
    if arguments.source is None:
        raise InputError("Say what to adapt: a RUN, a CONFIG with model.weights=FILE, or --resume DIR.")
    for name in ("threads", "tried", "steps", "at_once", "images"):
        if getattr(arguments, name) < 1:
            raise InputError(
                f"--{name.replace('_', '-')} is {getattr(arguments, name)}: give a number from 1."
            )
    if not 0 < arguments.delta < 1:
        raise InputError(f"--delta is {arguments.delta:g}: give a share between 0 and 1, as 0.01.")
    if arguments.at_once > arguments.tried:
        raise InputError(
            f"--at-once {arguments.at_once} needs as many tried: set --tried {arguments.at_once}."
        )
    if arguments.write_layers is not None:
        check_empty(arguments.write_layers, "--write-layers")
        return
    if arguments.latency is None or arguments.run_dir is None:
        raise InputError("Give --latency, as 0.8x or 12ms, and --run-dir DIR for the result.")
    parse_latency(arguments.latency)
    check_empty(arguments.run_dir, "--run-dir")
    check_new(_search_folder(arguments.run_dir), "--run-dir")


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


def _search_folder(run_dir: Path) -> Path:
    return run_dir.with_name(f"{run_dir.name}_search")


def _resume(arguments: argparse.Namespace) -> None:
    """Take the options of a search that was stopped."""
    file = _search_folder(arguments.resume) / _SETTINGS
    if not file.is_file():
        raise InputError(f"{arguments.resume} was not begun by adapt: there is no {file}.")
    for name, value in read_json(file).items():
        setattr(arguments, name, value)
    arguments.run_dir = arguments.resume


def source_at(place: str, overrides: Sequence[str]) -> AdaptedSource:
    """What a run folder, or a config with weights, begins with.

    Raises:
        InputError: it is neither, or an override is unknown.
    """
    from pocketvision.tasks.adapt.result import of_config, source_of

    if Path(place).is_dir():
        return source_of(Path(place), overrides)
    return of_config(find_config(place), overrides)


def _write_layers(folder: Path, source: AdaptedSource) -> None:
    from pocketvision.deploy.latency.known import plan_of_model
    from pocketvision.deploy.latency.measuring import write_folder
    from pocketvision.tasks.adapt.network import AdaptedNetwork

    network = AdaptedNetwork(source)
    write_folder(plan_of_model(network.model, network.build).plan.subnets, folder)
    print(f"{folder}: copy it to the device, and there: python measure.py --threads 1 --output latency.json")
    print("back here: pocketvision adapt ... --table latency.json")


def _adapt(arguments: argparse.Namespace, source: AdaptedSource) -> None:
    """Measure, search, and train the result on."""
    from pocketvision.tasks.adapt.network import AdaptedNetwork
    from pocketvision.tasks.fit import resume

    search = _search_folder(arguments.run_dir)
    if (arguments.run_dir / "run.json").is_file():
        _finish(arguments, resume(arguments.run_dir), search)
        return
    network = AdaptedNetwork(source)
    is_here = arguments.table is None
    latency = _latency(arguments, network, search / _TABLE)
    stops = _narrow(arguments, network, latency, search)
    about = f"{milliseconds(stops[-1].seconds)} by its layers, {milliseconds(stops[0].seconds)} before"
    print(about)
    if is_here:
        about += f"; measured {_measured(arguments, network, stops)}"
    _train(arguments, source, stops, about)


def _latency(arguments: argparse.Namespace, network: AdaptedNetwork, file: Path) -> LatencyModel:
    """From the search's own table, if it has one, else measured now."""
    from pocketvision.deploy.latency.known import (
        Device,
        from_table,
        measured_here,
        plan_of_model,
        read_table,
    )

    plan = plan_of_model(network.model, network.build)
    if file.is_file():
        return from_table(plan, read_table(file)["seconds"])
    latency, table = measured_here(plan, Device(arguments.backend, arguments.threads))
    write_json(file, table)
    return latency


def _narrow(
    arguments: argparse.Namespace, network: AdaptedNetwork, latency: LatencyModel, search: Path
) -> list[Stop]:
    from pocketvision.tasks.adapt.path import SearchFolder
    from pocketvision.tasks.adapt.picture import path_picture
    from pocketvision.tasks.adapt.search import Pace, Search
    from pocketvision.tasks.adapt.trial import Trials, trial_images

    amount, is_share = parse_latency(arguments.latency)
    now = latency(network.widths)
    target = amount * now if is_share else amount
    if target >= now:
        raise InputError(
            f"The network takes {milliseconds(now)} by its layers already: ask for a lower --latency."
        )
    print(f"{milliseconds(now)} by its layers now, {milliseconds(target)} wanted", flush=True)
    pace = Pace(arguments.delta, arguments.tried, arguments.steps, arguments.at_once)
    trials = Trials(network.experiment, trial_images(network.experiment, network.data, arguments.images))
    folder = SearchFolder(search)
    finder = Search(network.build, latency, target, trials, folder, pace, network.passport)
    stops = finder.run(network.model, network.widths)
    path_picture(stops, search / _PICTURE)
    return stops


def _measured(arguments: argparse.Namespace, network: AdaptedNetwork, stops: list[Stop]) -> str:
    """The first and last network of the path, timed as wholes on this machine."""
    from pocketvision.deploy.latency.known import Device, time_networks

    ends = {"before": stops[0].widths, "after": stops[-1].widths}
    seconds = time_networks(network.build, ends, Device(arguments.backend, arguments.threads))
    share = seconds["after"] / seconds["before"]
    text = f"{milliseconds(seconds['after'])}, {milliseconds(seconds['before'])} before ({share:.2f}x)"
    print(f"measured: {text}", flush=True)
    return text


def milliseconds(seconds: float) -> str:
    """A time as text."""
    return f"{seconds * 1e3:.2f} ms"


def _train(arguments: argparse.Namespace, source: AdaptedSource, stops: list[Stop], about: str) -> None:
    """The long training: an ordinary run of the adapted config."""
    from pocketvision.runs.folder import load_experiment
    from pocketvision.tasks.adapt.path import SearchFolder
    from pocketvision.tasks.adapt.result import write_adapted
    from pocketvision.tasks.fit import fit

    search = _search_folder(arguments.run_dir)
    config = write_adapted(search / "config", source, stops[-1].widths, about)
    weights = SearchFolder(search).weights(len(stops) - 1)
    overrides = [*source.overrides, f"model.weights={str(weights)!r}"]
    experiment, files = load_experiment(config, overrides)
    _finish(arguments, fit(experiment, arguments.run_dir, files, overrides), search)


def _finish(arguments: argparse.Namespace, trained: TrainingResult | None, search: Path) -> None:
    if trained is None:
        return
    from pocketvision.evaluation.evaluate import metrics_table

    print(metrics_table(trained.metrics))
    print(f"run folder: {arguments.run_dir}; the way there: {search / _PICTURE}")


if __name__ == "__main__":
    sys.exit(main())
