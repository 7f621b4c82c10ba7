"""Search blocks for a device: python tools/search.py RUN --latency 0.8x --run-dir DIR"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pocketvision.core.command import command
from pocketvision.core.errors import InputError
from pocketvision.core.files import check_empty, read_json, write_json
from pocketvision.tools.adapt import milliseconds, parse_latency, source_at

if TYPE_CHECKING:
    from pocketvision.deploy.latency.by_form import FormLatency, FormPlan
    from pocketvision.tasks.adapt.result import AdaptedSource
    from pocketvision.tasks.searching.evolution import Scored
    from pocketvision.tasks.searching.proxy import Proxy, SearchedNetwork

_SETTINGS, _TABLE = "settings.json", "latency.json"
_KEPT = (
    "source", "overrides", "latency", "backend", "threads", "table", "exponent", "beyond", "steps",
    "candidates", "images",
)  # fmt: skip


def parser() -> argparse.ArgumentParser:
    """The command line of this tool."""
    parser = argparse.ArgumentParser(
        prog="pocketvision search",
        description="Platform-aware search, small (arXiv:1807.11626, arXiv:1905.02244): choose expansion, "
        "width, kernel 3 or 5, squeeze-and-excitation and non-linearity of every stage of a trained network "
        "by score x (latency / target)^exponent. Candidates share weights, are scored on held-out training "
        "images, and bred by regularized evolution.",
    )
    add = parser.add_argument
    add("source", metavar="RUN|CONFIG", nargs="?", help="a run, or a config with model.weights=FILE")
    add("overrides", metavar="part.key=value", nargs="*", help="values to change")
    add("--latency", metavar="0.8x|12ms", help="the target: a part of the latency now, or a time")
    add("--backend", default="onnx", help="onnx, torch or openvino (default: onnx)")
    add("--threads", type=int, default=1, metavar="N", help="CPU threads (default: 1)")
    add("--table", type=Path, metavar="FILE", help="latencies that a device wrote")
    add("--write-layers", type=Path, metavar="DIR", help="write layers and a script for a device, and stop")
    add("--run-dir", type=Path, metavar="DIR", help="new folder for the search")
    add("--resume", type=Path, metavar="DIR", help="go on with a search that was stopped")
    add("--exponent", type=float, default=-0.07, metavar="W", help="of the reward (default: -0.07)")
    words = "its exponent for networks slower than the target (default: -1; the papers': -0.07)"
    add("--beyond", type=float, default=-1.0, metavar="W", help=words)
    add("--steps", type=int, default=400, metavar="N", help="steps that teach shared weights (default: 400)")
    add("--candidates", type=int, default=100, metavar="N", help="networks to score (default: 100)")
    add("--images", type=int, default=64, metavar="N", help="training images to judge by (default: 64)")
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
    if arguments.resume is None:
        _begin(arguments)
    _search(arguments, source)


def _check(arguments: argparse.Namespace) -> None:
    """Bad options are told before anything is loaded."""
    if arguments.source is None:
        raise InputError("Say what to begin with: a RUN, a CONFIG with model.weights=FILE, or --resume DIR.")
    for name in ("threads", "steps", "candidates", "images"):
        if getattr(arguments, name) < 1:
            raise InputError(f"--{name} is {getattr(arguments, name)}: give a number from 1.")
    for name in ("exponent", "beyond"):
        value = getattr(arguments, name)
        if not -10 <= value <= 0:
            raise InputError(f"--{name} is {value:g}: give a number from -10 to 0, as -0.07.")
    if arguments.write_layers is not None:
        check_empty(arguments.write_layers, "--write-layers")
        return
    if arguments.latency is None or arguments.run_dir is None:
        raise InputError("Give --latency, as 0.8x or 12ms, and --run-dir DIR for the search.")
    parse_latency(arguments.latency)
    check_empty(arguments.run_dir, "--run-dir")


def _begin(arguments: argparse.Namespace) -> None:
    """Make the folder, with the options and a device's table."""
    arguments.table = None if arguments.table is None else str(arguments.table)
    table = None
    if arguments.table is not None:
        from pocketvision.deploy.latency.known import read_table

        table = read_table(Path(arguments.table))
    write_json(arguments.run_dir / _SETTINGS, {name: getattr(arguments, name) for name in _KEPT})
    if table is not None:
        write_json(arguments.run_dir / _TABLE, table)


def _resume(arguments: argparse.Namespace) -> None:
    """Take the options of a search that was stopped."""
    file = arguments.resume / _SETTINGS
    if not file.is_file():
        raise InputError(f"{arguments.resume} was not begun by search: there is no {file}.")
    for name, value in read_json(file).items():
        setattr(arguments, name, value)
    arguments.run_dir = arguments.resume


def _write_layers(folder: Path, source: AdaptedSource) -> None:
    from pocketvision.deploy.latency.measuring import write_folder
    from pocketvision.tasks.searching.proxy import SearchedNetwork

    write_folder(_plan(SearchedNetwork(source)).subnets, folder)
    print(f"{folder}: copy it to the device, and there: python measure.py --threads 1 --output latency.json")
    print("back here: pocketvision search ... --table latency.json")


def _plan(network: SearchedNetwork) -> FormPlan:
    from pocketvision.deploy.latency.by_form import plan_forms

    space = network.space
    return plan_forms(network.model, network.build, space.all_forms(), space.examples())


def _latency(arguments: argparse.Namespace, network: SearchedNetwork) -> FormLatency:
    """From the search's own table, if it has one, else measured now."""
    from pocketvision.deploy.latency.by_form import form_latency
    from pocketvision.deploy.latency.known import Device, read_table, timed_here

    plan, file = _plan(network), arguments.run_dir / _TABLE
    if not file.is_file():
        write_json(file, timed_here(plan.subnets, Device(arguments.backend, arguments.threads)))
    return form_latency(plan, read_table(file)["seconds"])


def _search(arguments: argparse.Namespace, source: AdaptedSource) -> None:
    """Measure, teach shared weights, and score candidates."""
    from pocketvision.tasks.searching.evolution import Evolution, Reward, explore
    from pocketvision.tasks.searching.proxy import Proxy, SearchedNetwork

    network = SearchedNetwork(source)
    latency = _latency(arguments, network)
    amount, is_share = parse_latency(arguments.latency)
    now = latency(network.widths, network.forms)
    target = amount * now if is_share else amount
    proxy = Proxy(network, arguments.images)
    own = f"{proxy.metric} {proxy.source_score():.4f} on held-out training images"
    print(f"{milliseconds(now)} by its layers now, {own}; {milliseconds(target)} wanted", flush=True)
    proxy.teach(arguments.steps, arguments.run_dir)
    evolution = Evolution(network.space, network.experiment.seed)
    history = explore(
        evolution, arguments.candidates, proxy.score,
        lambda candidate: latency(*network.space.decoded(candidate)),
        Reward(target, arguments.exponent, arguments.beyond), arguments.run_dir,
    )  # fmt: skip
    _write(arguments.run_dir, source, proxy, history, target)


def _write(
    folder: Path, source: AdaptedSource, proxy: Proxy, history: Sequence[Scored], target: float
) -> None:
    """The table, the picture, and the best network as a config with weights."""
    from pocketvision.core.weights import save_weights
    from pocketvision.tasks.searching.evolution import POPULATION, best_below, write_table
    from pocketvision.tasks.searching.result import search_picture, train_command, write_searched

    best = best_below(history, target)
    write_table(folder / "candidates.csv", history)
    shown = {"random": history[:POPULATION], "evolved": history[POPULATION:]}
    search_picture(shown, best, target, folder / "candidates.png")
    widths, forms = proxy.network.space.decoded(best.candidate)
    about = f"{proxy.metric} {best.score:.4f} with shared weights, {milliseconds(best.seconds)} by its layers"
    config = write_searched(folder / "config", source, widths, forms, about)
    model, weights = proxy.model(best.candidate), folder / "weights.safetensors"
    proxy.score_of(model)  # which gives its norms their statistics
    save_weights(weights, model, proxy.network.passport(model, widths, forms))
    print(f"search: {folder} (look at candidates.png and candidates.csv)")
    print(f"best: {about}, reward {best.reward:.4f}")
    print(f"next: {train_command(config, source, weights)}")


if __name__ == "__main__":
    sys.exit(main())
