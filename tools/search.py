"""Search blocks for a device: python tools/search.py RUN --latency 0.8x --run-dir DIR"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pocketvision.core.command import command
from pocketvision.core.errors import InputError
from pocketvision.core.files import write_json
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
    from pocketvision.deploy.latency.by_form import FormLatency, FormPlan
    from pocketvision.tasks.adapt.result import AdaptedSource
    from pocketvision.tasks.searching.evolution import Scored
    from pocketvision.tasks.searching.proxy import Proxy, SearchedNetwork


def parser() -> argparse.ArgumentParser:
    """The command line of this tool."""
    parser = argparse.ArgumentParser(
        prog="pocketvision search",
        description="Platform-aware search, small (arXiv:1807.11626, arXiv:1905.02244): choose expansion, "
        "width, kernel 3 or 5, squeeze-and-excitation and non-linearity of every stage of a trained network "
        "by score x (latency / target)^exponent. Candidates share weights, are scored on held-out training "
        "images, and bred by regularized evolution.",
    )
    add_latency_options(parser)
    add = parser.add_argument
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
        take_options(arguments, arguments.resume, "search")
    else:
        _check(arguments)
    source = source_at(arguments.source, arguments.overrides)
    if arguments.write_layers is not None:
        _write_layers(arguments, source)
        return
    if arguments.resume is None:
        keep_options(arguments, arguments.run_dir, "exponent", "beyond", "candidates")
    _search(arguments, source)


def _check(arguments: argparse.Namespace) -> None:
    """Bad options are told before anything is loaded."""
    for name in ("exponent", "beyond"):
        value = getattr(arguments, name)
        if not -10 <= value <= 0:
            raise InputError(f"--{name} is {value:g}: give a number from -10 to 0, as -0.07.")
    check_latency(arguments, "candidates")


def _write_layers(arguments: argparse.Namespace, source: AdaptedSource) -> None:
    from pocketvision.deploy.latency.measuring import write_folder
    from pocketvision.tasks.searching.proxy import SearchedNetwork

    write_folder(_plan(SearchedNetwork(source)).subnets, arguments.write_layers, arguments.backend)
    tell_layers(arguments.write_layers, "search", arguments.backend)


def _plan(network: SearchedNetwork) -> FormPlan:
    from pocketvision.deploy.latency.by_form import plan_forms

    space = network.space
    return plan_forms(network.model, network.build, space.all_forms(), space.examples())


def _latency(arguments: argparse.Namespace, network: SearchedNetwork) -> FormLatency:
    """From the search's own table, if it has one, else measured now."""
    from pocketvision.deploy.latency.by_form import form_latency
    from pocketvision.deploy.latency.known import Device, read_table, timed_here

    plan, file = _plan(network), arguments.run_dir / TABLE
    if not file.is_file():
        write_json(file, timed_here(plan.subnets, Device(arguments.backend, arguments.threads)))
    return form_latency(plan, read_table(file)["seconds"])


def _search(arguments: argparse.Namespace, source: AdaptedSource) -> None:
    """Measure, teach shared weights, and score candidates."""
    from pocketvision.tasks.searching.evolution import Evolution, Reward, explore
    from pocketvision.tasks.searching.proxy import Proxy, SearchedNetwork

    network = SearchedNetwork(source)
    latency = _latency(arguments, network)
    now = latency(network.widths, network.forms)
    target = target_seconds(arguments.latency, now)
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
