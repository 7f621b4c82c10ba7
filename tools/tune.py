"""Search for hyper-parameters: python tools/tune.py CONFIG task.optimizer.lr=1e-4..1e-2 --minutes 60"""

from __future__ import annotations

import argparse
import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from pocketvision.core.command import command, find_config
from pocketvision.core.errors import InputError
from pocketvision.core.memory import keep_freed_memory
from pocketvision.core.processes import leave
from pocketvision.core.registered import TaskName, task_of

if TYPE_CHECKING:
    from pocketvision.tasks.tuning.start import SweepRequest

MINUTES, TRIALS = 60.0, 10


def parser() -> argparse.ArgumentParser:
    """The command line of this tool."""
    parser = argparse.ArgumentParser(
        prog="pocketvision tune",
        description="Try values of hyper-parameters, each in a short training that is scored on the "
        "validation split, and say which are best. Poor trials end early. Needs Optuna: "
        "pip install 'pocketvision[tune]'.",
        epilog="A range whose ends are positive and a factor of 10 or more apart is searched by its "
        "logarithm; between whole numbers only whole ones are tried. A value with commas of its own goes in "
        "brackets: model.image_size=(160,160),(224,224).",
    )
    add = parser.add_argument
    add("config", metavar="CONFIG", nargs="?", help="a config file or the name of a shipped config")
    add(
        "overrides", metavar="key=a..b | key=a,b,c | key=value", nargs="*",
        help="what to search, a range or a list, and what holds for all trials",
    )  # fmt: skip
    add("--data", metavar="PATH", help="train on this data set, as train --data does")
    add("--task", choices=get_args(TaskName), help="with --data, where the data serve several")
    add("--model", help="with --data: as for train")
    words = f"for the whole sweep (default: {MINUTES:g}); with --resume: so many more"
    add("--minutes", type=float, metavar="M", help=words)
    add("--trials", type=int, metavar="N", help=f"trials are so short that N fit (default: {TRIALS})")
    words = "instead of a sweep: train for 100 steps with a rising learning rate and suggest one"
    add("--find-lr", action="store_true", help=words)
    add("--run-dir", type=Path, help="new folder for the sweep (default: out/tune/CONFIG/TIME)")
    add("--resume", type=Path, metavar="DIR", help="go on with a sweep that was stopped")
    return parser


@command
def main(argv: Sequence[str] | None = None) -> None:
    started = time.monotonic()
    keep_freed_memory()
    arguments = parser().parse_intermixed_args(argv)
    check(arguments)
    if arguments.find_lr:
        show_rate(request_of(arguments, started), arguments.run_dir)
        return
    if arguments.resume is None:
        request = request_of(arguments, started)
        from pocketvision.tasks.tuning.start import begin

        folder, more = begin(request, arguments.run_dir), 0.0
    else:
        folder, more = arguments.resume, arguments.minutes or 0.0
    show_sweep(folder, started, more)


def show_sweep(folder: Path, started: float, more: float) -> None:
    """Go through a sweep, and print what is best and how to train it fully."""
    from pocketvision.tasks.tuning.plan import read_plan
    from pocketvision.tasks.tuning.results import best_of
    from pocketvision.tasks.tuning.sweep import search

    found = search(folder, started, more)
    best = best_of(found)
    print(f"sweep: {folder} (look at {folder / 'trials.png'} and {folder / 'trials.csv'})")
    if best is None:
        raise InputError("No trial was trained to its end: give more --minutes, with --resume.")
    print(f"best: trial {best.number}, {best.scored}, {' '.join(best.values)}")
    print(f"next: {read_plan(folder).train_command(best.values)}")


def check(arguments: argparse.Namespace) -> None:
    """Refuse options that don't go together, or out of range."""
    words = [word for word in (arguments.config, *arguments.overrides) if word is not None]
    if arguments.minutes is not None and not arguments.minutes > 0:
        raise InputError(f"--minutes is {arguments.minutes:g}: give a number above 0.")
    if arguments.trials is not None and arguments.trials < 1:
        raise InputError(f"--trials is {arguments.trials}: give a number from 1.")
    if arguments.resume is not None:
        others = (
            arguments.data, arguments.task, arguments.model, arguments.trials, arguments.run_dir,
            arguments.find_lr,
        )  # fmt: skip
        if words or any(others):
            raise InputError("--resume DIR takes nothing else but --minutes: the folder knows the sweep.")
        return
    if arguments.find_lr and (arguments.minutes or arguments.trials):
        raise InputError("--find-lr takes 100 steps: --minutes and --trials are for a sweep.")
    if arguments.data is None and (arguments.config is None or "=" in arguments.config):
        raise InputError("Say what to train: a CONFIG, --data PATH, or --resume DIR.")
    if arguments.data is None and (arguments.task or arguments.model):
        raise InputError("--task and --model go with --data PATH: a CONFIG has its own.")
    if arguments.data is not None and arguments.config is not None and "=" not in arguments.config:
        raise InputError(f"Give either the config {arguments.config} or --data {arguments.data}.")


def request_of(arguments: argparse.Namespace, started: float) -> SweepRequest:
    """What is asked for; unknown names are answered here, before torch is imported."""
    words = list(arguments.overrides)
    config = None
    if arguments.data is None:
        config = find_config(arguments.config)
    else:
        words = [*([] if arguments.config is None else [arguments.config]), *words]
        if arguments.model is not None:
            task_of(arguments.model)

    from pocketvision.tasks.tuning.start import SweepRequest

    minutes, trials = arguments.minutes or MINUTES, arguments.trials or TRIALS
    return SweepRequest(
        config, arguments.data, arguments.task, arguments.model, words, minutes, trials, started
    )


def show_rate(request: SweepRequest, folder: Path | None) -> None:
    """Print the learning rate at which the loss falls fastest."""
    from pocketvision.tasks.tuning.space import number_text
    from pocketvision.tasks.tuning.start import suggest_rate

    found, stated, picture = suggest_rate(request, folder)
    print(f"loss against learning rate: {picture}")
    if found.suggestion is None:
        raise InputError("The loss falls at no learning rate: look at the picture, and check the data.")
    word = f"task.optimizer.lr={number_text(found.suggestion)}"
    print(f"the loss falls fastest at {word}; the config has {number_text(stated)}")
    print(f"next: {shlex.join(['pocketvision', 'train', *request.train, *request.words, word])}")


if __name__ == "__main__":
    leave(main())
