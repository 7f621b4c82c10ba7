"""Train a config, or a data set without one: python tools/train.py CONFIG | --data PATH [key=value ...]"""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
import time
from collections.abc import Sequence
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
    from pocketvision.tasks.own.starting import Request


def parser() -> argparse.ArgumentParser:
    """The command line of this tool."""
    parser = argparse.ArgumentParser(
        prog="pocketvision train",
        description="Train a config, or a data set without one (--data), and score it on its validation "
        "split; or go on with a stopped run.",
        epilog="recipe=auto derives the recipe of a CONFIG from its data. "
        f"Shipped configs: {', '.join(shipped_configs())}.",
    )
    add = parser.add_argument
    add("config", metavar="CONFIG", nargs="?", help="a config file or the name of a shipped config")
    add("overrides", metavar="part.key=value", nargs="*", help="values to change")
    words = "train on this data set: format, split and recipe are found; once a task for a model of several"
    add("--data", metavar="PATH", action="append", help=words)
    words = "with --data, where the data serve several"
    add("--task", choices=get_args(TaskName), action="append", help=words)
    defaults = ", ".join(default_model(task) for task in get_args(TaskName))
    words = f"with --data: {', '.join(own_models())} (default: {defaults})"
    add("--model", action="append", help=words)
    add("--minutes", type=float, metavar="M", help="train as many steps as fit into M minutes in all")
    add("--overfit", type=int, metavar="N", help="self-test: overfit N images; PASS, or where to look")
    add("--run-dir", type=Path, help="new folder for the run (default: out/CONFIG/TIME)")
    words = "start from these weights (model.weights=...); once a task for a model of several"
    add("--from", dest="source", action="append", metavar="RUN|FILE", help=words)
    add("--resume", type=Path, metavar="RUN", help="go on with a run that was stopped")
    words = "pictures without labels: the trained model labels them and trains on with them (boxes)"
    add("--unlabelled", metavar="DIR", help=words)
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
        for model in arguments.model or ():
            task_of(model)
        if arguments.config is not None and "=" not in arguments.config:
            raise InputError(f"Give either the config {arguments.config} or --data {arguments.data[0]}.")
        overrides = [*([] if arguments.config is None else [arguments.config]), *overrides]
    if arguments.source is not None:
        only, *more = arguments.source
        overrides.append(f"model.weights={(only, *more) if more else only!r}")
    if arguments.unlabelled is not None:
        overrides.append(f"unlabelled={str(Path(arguments.unlabelled).absolute())!r}")
    if arguments.data is None:
        start(arguments, config, overrides)
        return
    with tempfile.TemporaryDirectory(prefix="pocketvision-config-") as folder:  # the run keeps a copy
        start(arguments, *configure(arguments, overrides, Path(folder)))


def configure(
    arguments: argparse.Namespace, overrides: Sequence[str], folder: Path
) -> tuple[Path, list[str], AnyData]:
    """A config for ``--data`` in ``folder``, its overrides and the data that were read."""
    from pocketvision.tasks.own import starting

    words = shlex.join(["train", *(sys.argv[1:] if sys.argv[1:2] != ["train"] else sys.argv[2:])])
    return starting.configure(
        arguments.data, arguments.task or (), arguments.model or (), overrides, folder, words,
        request(arguments),
    )  # fmt: skip


def start(
    arguments: argparse.Namespace, config: Path, overrides: list[str], read: AnyData | None = None
) -> None:
    """Show, self-test or train a config; what ``read`` has read of its data is not read again."""
    from pocketvision.core.config import describe
    from pocketvision.tasks.own.starting import new_folder, settle
    from pocketvision.tasks.unlabelled.stages import fit_in_stages

    settled = settle(config, overrides, request(arguments), read, is_own=arguments.data is not None)
    if arguments.print_config:
        print(describe(settled.experiment))
        return
    if arguments.overfit is not None:
        self_test(settled.experiment, arguments.overfit, settled.read)
        return
    folder = arguments.run_dir or new_folder(config)
    seconds = time.monotonic() - arguments.started
    experiment, files, words, read = settled
    trained = fit_in_stages(experiment, folder, files, words, seconds, read)
    report(trained, folder)


def request(arguments: argparse.Namespace) -> Request:
    """What the options ask for."""
    from pocketvision.tasks.own.starting import Request

    is_shown = arguments.print_config
    is_run = not (is_shown or arguments.overfit)
    return Request(arguments.started, arguments.minutes, is_run, is_shown and not arguments.overfit)


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
        arguments.minutes, arguments.overfit, arguments.unlabelled,
    )  # fmt: skip
    if any(others) or not all(word.startswith("data.root=") for word in words):
        raise InputError(
            "--resume RUN takes nothing else but data.root=FOLDER and --allow-changed-data: the run has its "
            "config and overrides."
        )

    from pocketvision.tasks.unlabelled.stages import resume_in_stages

    trained = resume_in_stages(arguments.resume, words, allow_changed_data=arguments.allow_changed_data)
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
