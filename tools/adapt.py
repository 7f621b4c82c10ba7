"""Narrow a trained network to a latency: python tools/adapt.py RUN --latency 0.8x --run-dir DIR"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pocketvision.core.command import command
from pocketvision.core.errors import InputError
from pocketvision.core.files import check_new, write_json
from pocketvision.tools.latency_options import (
    TABLE,
    add_latency_options,
    check_latency,
    keep_options,
    milliseconds,
    source_at,
    take_options,
    target_seconds,
    tell_layers,
)

if TYPE_CHECKING:
    from pocketvision.deploy.latency.table import LatencyModel
    from pocketvision.tasks.adapt.network import AdaptedNetwork
    from pocketvision.tasks.adapt.path import Stop
    from pocketvision.tasks.adapt.result import AdaptedSource
    from pocketvision.tasks.fit import TrainingResult

_PICTURE = "path.png"
_SURPRISE = 1.15
"""Ratio of the measured to the promised share of the latency from which the layers are doubted."""


def parser() -> argparse.ArgumentParser:
    """The command line of this tool."""
    parser = argparse.ArgumentParser(
        prog="pocketvision adapt",
        description="NetAdapt (arXiv:1804.03230) as for MobileNetV3: narrow a trained network in rounds, "
        "by latencies measured layer by layer, then train it on, with the overrides too. RUN-DIR becomes an "
        "ordinary run; the search lies beside it, in RUN-DIR_search.",
    )
    add_latency_options(parser)
    add = parser.add_argument
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
        take_options(arguments, _search_folder(arguments.resume), "adapt")
    else:
        _check(arguments)
    source = source_at(arguments.source, arguments.overrides)
    if arguments.write_layers is not None:
        _write_layers(arguments, source)
        return
    if arguments.resume is None:
        keep_options(arguments, _search_folder(arguments.run_dir), "delta", "tried", "at_once")
    _adapt(arguments, source)


def _check(arguments: argparse.Namespace) -> None:
    """Bad options are told before anything is loaded."""
    check_latency(arguments, "tried", "at_once")
    if not 0 < arguments.delta < 1:
        raise InputError(f"--delta is {arguments.delta:g}: give a share between 0 and 1, as 0.01.")
    if arguments.at_once > arguments.tried:
        raise InputError(
            f"--at-once {arguments.at_once} needs as many tried: set --tried {arguments.at_once}."
        )
    if arguments.write_layers is None:
        check_new(_search_folder(arguments.run_dir), "--run-dir")


def _search_folder(run_dir: Path) -> Path:
    return run_dir.with_name(f"{run_dir.name}_search")


def _write_layers(arguments: argparse.Namespace, source: AdaptedSource) -> None:
    from pocketvision.deploy.latency.known import plan_of_model
    from pocketvision.deploy.latency.measuring import write_folder
    from pocketvision.tasks.adapt.network import AdaptedNetwork

    network = AdaptedNetwork(source)
    subnets = plan_of_model(network.model, network.build).plan.subnets
    write_folder(subnets, arguments.write_layers, arguments.backend)
    tell_layers(arguments.write_layers, "adapt", arguments.backend)


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
    latency = _latency(arguments, network, search / TABLE)
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

    now = latency(network.widths)
    target = target_seconds(arguments.latency, now)
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
    from pocketvision.deploy.latency.known import Device, kept_table, time_networks

    ends = {"before": stops[0].widths, "after": stops[-1].widths}
    device = Device(arguments.backend, arguments.threads)
    seconds = time_networks(network.build, ends, device)
    share, promised = seconds["after"] / seconds["before"], stops[-1].seconds / stops[0].seconds
    text = f"{milliseconds(seconds['after'])}, {milliseconds(seconds['before'])} before ({share:.2f}x)"
    print(f"measured: {text}", flush=True)
    if not 1 / _SURPRISE < share / promised < _SURPRISE:
        print(
            f"The layers had promised {promised:.2f}x: this machine was busier then, or is now. "
            f"To time them again, delete {kept_table(device)} and start anew on a quiet machine.",
            flush=True,
        )
    return text


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
