"""Train a config, or a data set without one: python tools/train.py CONFIG | --data PATH [key=value ...]"""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from pocketvision.core.command import command, find_config, shipped_configs
from pocketvision.core.errors import InputError, StoppedError
from pocketvision.core.memory import keep_freed_memory
from pocketvision.core.processes import end_with_parent, is_started_by_another, leave
from pocketvision.core.registered import TaskName, default_model, own_models, task_of

if TYPE_CHECKING:
    from pocketvision.core.config import Experiment
    from pocketvision.datasets.data_module import AnyData
    from pocketvision.tasks.fit import TrainingResult

AUTO, DATA_WEIGHTS = "recipe=auto", "task.loss.class_weights=data"


def parser() -> argparse.ArgumentParser:
    """The command line of this tool."""
    parser = argparse.ArgumentParser(
        prog="pocketvision train",
        description="Train a config, or a data set without one (--data), and score it on its validation "
        "split; or go on with a stopped run.",
        epilog=f"{AUTO} derives the recipe of a CONFIG from its data. "
        f"Shipped configs: {', '.join(shipped_configs())}.",
    )
    add = parser.add_argument
    add("config", metavar="CONFIG", nargs="?", help="a config file or the name of a shipped config")
    add("overrides", metavar="part.key=value", nargs="*", help="values to change")
    add("--data", metavar="PATH", help="train on this data set: its format, split and recipe are found")
    add(
        "--task",
        choices=get_args(TaskName),
        help="with --data, where the data serve several",
    )
    defaults = ", ".join(default_model(task) for task in get_args(TaskName))
    add("--model", help=f"with --data: {', '.join(own_models())} (default: {defaults})")
    add("--minutes", type=float, metavar="M", help="train as many steps as fit into M minutes in all")
    add("--overfit", type=int, metavar="N", help="self-test: overfit N images; PASS, or where to look")
    add("--run-dir", type=Path, help="new folder for the run (default: out/CONFIG/TIME)")
    add("--from", dest="source", metavar="RUN|FILE", help="start from these weights (model.weights=...)")
    add("--resume", type=Path, metavar="RUN", help="go on with a run that was stopped")
    add("--allow-changed-data", action="store_true", help="with --resume: also where the data have changed")
    add("--print-config", action="store_true", help="show what would run, and stop")
    return parser


@command
def main(argv: Sequence[str] | None = None) -> None:
    if is_started_by_another():
        end_with_parent()
    started = time.monotonic()
    keep_freed_memory()
    arguments = parser().parse_intermixed_args(argv)
    arguments.started = started
    if arguments.minutes is not None and not arguments.minutes > 0:
        raise InputError(f"--minutes is {arguments.minutes:g}: give a number above 0.")
    if arguments.overfit is not None and arguments.overfit < 1:
        raise InputError(f"--overfit is {arguments.overfit}: give a number of images from 1 up.")
    if arguments.resume is not None:
        go_on(arguments)
        return
    if arguments.allow_changed_data:
        raise InputError("--allow-changed-data goes with --resume RUN: a new run has no data to compare.")
    overrides = list(arguments.overrides)
    if arguments.data is None:
        if arguments.config is None:
            raise InputError("Say what to train: a CONFIG, --data PATH, or --resume RUN.")
        if arguments.task or arguments.model:
            raise InputError("--task and --model go with --data PATH: a CONFIG has its own.")
        config = find_config(arguments.config)
    else:
        if arguments.model is not None:
            task_of(arguments.model)
        if arguments.config is not None and "=" not in arguments.config:
            raise InputError(f"Give either the config {arguments.config} or --data {arguments.data}.")
        overrides = [*([] if arguments.config is None else [arguments.config]), *overrides]
    if arguments.source is not None:
        overrides.append(f"model.weights={arguments.source!r}")
    if arguments.data is None:
        start(arguments, config, overrides)
        return
    overrides = [word for word in overrides if word != AUTO]  # the config that is written has its recipe
    with tempfile.TemporaryDirectory(prefix="pocketvision-config-") as folder:  # the run keeps a copy
        config, minutes, data = configure(arguments, overrides, Path(folder))
        limits = [] if minutes is None else [f"minutes={minutes!r}"]
        start(arguments, config, [*limits, *overrides], data)


def configure(
    arguments: argparse.Namespace, overrides: Sequence[str], folder: Path
) -> tuple[Path, float | None, AnyData]:
    """Write a config for ``--data`` into ``folder``, and say what was found.

    Returns:
        The config, the minutes after which training is to end, and the data that were read.
    """
    from lightning.pytorch.utilities import rank_zero_only

    from pocketvision.tasks.own.look import look_at, write_config
    from pocketvision.tasks.own.timing import describe_recipe

    say = rank_zero_only(print)
    own = look_at(arguments.data, arguments.task, arguments.model, overrides)
    say("\n".join(own.lines()), flush=True)
    words = shlex.join(["train", *(sys.argv[1:] if sys.argv[1:2] != ["train"] else sys.argv[2:])])
    is_run = not (arguments.print_config or arguments.overfit)
    minutes = arguments.minutes if is_run else None
    file, recipe = write_config(
        own, folder, overrides, words, minutes, check_weights=is_run, started=arguments.started
    )
    say(describe_recipe(recipe.derivation), flush=True)
    return file, recipe.minutes, own.data


def start(
    arguments: argparse.Namespace, config: Path, overrides: list[str], read: AnyData | None = None
) -> None:
    """Show, self-test or train a config; what ``read`` has read of its data is not read again."""
    from pocketvision.core.config import describe
    from pocketvision.runs.build import look_at_start
    from pocketvision.runs.folder import check_trainer, load_experiment
    from pocketvision.tasks.fit import fit

    experiment, files = load_experiment(config, overrides)
    check_trainer(experiment)
    minutes = arguments.minutes if arguments.data is None else None  # with --data the config keeps to it
    is_training = not (arguments.print_config or arguments.overfit)
    if is_training and arguments.data is None:
        look_at_start(experiment)
    is_auto = experiment.recipe == "auto" and (is_training or AUTO in overrides)
    if is_auto or is_training or arguments.overfit:
        limit = minutes if is_training else None
        settled, read = settle(experiment, limit, arguments.started, read, overrides if is_auto else None)
        if settled:
            overrides = [*settled, *(word for word in overrides if word != DATA_WEIGHTS)]
            experiment, files = load_experiment(config, overrides)
    if arguments.print_config:
        print(describe(experiment))
        return
    if arguments.overfit is not None:
        self_test(experiment, arguments.overfit, read)
        return
    folder = arguments.run_dir or Path("out", config.stem, datetime.now().strftime("%Y-%m-%d_%H-%M-%S"))
    report(fit(experiment, folder, files, overrides, time.monotonic() - arguments.started, read), folder)


def settle(
    experiment: Experiment, minutes: float | None, started: float, read: AnyData | None,
    auto: Sequence[str] | None,
) -> tuple[list[str], AnyData | None]:  # fmt: skip
    """Overrides for what the data decide, printed: class weights, the automatic recipe, ``--minutes``.

    The minutes began when the monotonic clock was at ``started``; ``auto`` are the command line's overrides
    where the recipe is automatic. The data that were read for it come with them.
    """
    from lightning.pytorch.utilities import rank_zero_only

    from pocketvision.runs.build import build
    from pocketvision.runs.folder import override
    from pocketvision.tasks.own.look import data_weights, raised_cap
    from pocketvision.tasks.own.rare_classes import settled_repeats
    from pocketvision.tasks.own.timing import auto_overrides, auto_recipe, describe_recipe, minutes_overrides

    say = rank_zero_only(print)
    if read is None and (auto is not None or minutes is not None):
        _, read = build(experiment, pretrained=False)
    settled = data_weights(experiment, read)
    if auto is not None:
        repeats, rare = settled_repeats(experiment, auto, read)
        recipe = auto_recipe(
            override(experiment, rare), minutes, read, started, repeats and repeats.num_drawn
        )
        say("".join(f"{repeats.line()}\n" for _ in rare if repeats), end="", flush=True)
        say(describe_recipe(recipe.derivation), flush=True)
        limits = [] if recipe.minutes is None else [f"minutes={recipe.minutes!r}"]
        cap = raised_cap(experiment, read)
        say("".join(f"crowded pictures: {word}\n" for word in cap), end="", flush=True)
        settled += [*limits, *auto_overrides(experiment, recipe), *cap, *rare]
    elif minutes is not None:
        limits, line = minutes_overrides(experiment, minutes, read, started)
        say(line, flush=True)
        settled += limits
    return settled, read


def self_test(experiment: Experiment, num_images: int, read: AnyData | None) -> None:
    """Overfit a few images; exit code 1 if that fails."""
    from pocketvision.tasks.overfit import overfit

    result = overfit(experiment, num_images, read)
    print(result, flush=True)
    if not result.passed:
        raise StoppedError("the self-test failed: the line above says where to look", 1)


def go_on(arguments: argparse.Namespace) -> None:
    """Resume a run, which has its config and overrides."""
    words = [word for word in (arguments.config, *arguments.overrides) if word is not None]
    others = (
        arguments.source, arguments.run_dir, arguments.data, arguments.task, arguments.model,
        arguments.minutes, arguments.overfit,
    )  # fmt: skip
    if any(others) or not all(word.startswith("data.root=") for word in words):
        raise InputError(
            "--resume RUN takes nothing else but data.root=FOLDER and --allow-changed-data: the run has its "
            "config and overrides."
        )

    from pocketvision.tasks.fit import resume

    trained = resume(arguments.resume, words, allow_changed_data=arguments.allow_changed_data)
    report(trained, arguments.resume)


def report(trained: TrainingResult | None, folder: Path) -> None:
    """Print the metrics and what to do next, in the one process that has them."""
    if trained is None:
        return

    from pocketvision.core.terminal import printable
    from pocketvision.evaluation.evaluate import metrics_table

    print(metrics_table(trained.metrics))
    print(f"run folder: {folder} (look at {folder / 'predictions.png'})")
    for line in next_commands(folder, trained.example):
        print(f"next: {printable(line)}")


def next_commands(folder: Path, example: Path | None) -> list[str]:
    """What to do with a trained run, as it is typed: predict, on an image of its own, and export."""
    from pocketvision.core.files import free_path

    has_onnx = all(map(find_spec, ("onnx", "onnxscript")))
    format, suffix = ("onnx", ".onnx") if has_onnx else ("pt2", ".pt2")  # pt2 needs PyTorch alone
    file = free_path(folder / f"model{suffix}")
    return [
        shlex.join(["pocketvision", "predict", str(folder), str(example or folder / "predictions.png")]),
        shlex.join(["pocketvision", "export", str(folder), "--format", format, "--output", str(file)]),
    ]


if __name__ == "__main__":
    leave(main())
