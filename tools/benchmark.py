"""Time models on this machine: python tools/benchmark.py RUN|FILE|CONFIG ... [--budget 15ms]"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from pocketvision.core.command import command, find_config, shipped_configs
from pocketvision.core.errors import InputError
from pocketvision.core.files import check_empty, check_new, free_path
from pocketvision.core.registered import TaskName, families

if TYPE_CHECKING:
    from pocketvision.core.structures import Size
    from pocketvision.deploy.benchmark.latency import Measurement, Subject

_MIN_SIDE = 32
_UNITS = {"ms": 1e-3, "s": 1.0}


def parser() -> argparse.ArgumentParser:
    """The command line of this tool."""
    from pocketvision.deploy.formats import BACKENDS

    parser = argparse.ArgumentParser(
        prog="pocketvision benchmark",
        description="Latency, throughput and memory from pixels to raw outputs, the candidates interleaved.",
    )
    add = parser.add_argument
    add("subjects", metavar="RUN|FILE|CONFIG", nargs="*", help="runs, weights, exported files or configs")
    add(
        "--backends",
        default="torch,onnx",
        metavar="A,B",
        help=f"of {', '.join(BACKENDS)} (default: torch,onnx)",
    )
    add("--threads", default=str(os.cpu_count() or 1), metavar="N,M", help="CPU threads (default: all cores)")
    add("--batch", default="1", metavar="N,M", help="images a call (default: 1)")
    add("--sizes", metavar="N,HxW", help="image sizes, as 224,320x480 (default: each model's own)")
    add("--no-memory", action="store_true", help="leave out peak memory, which takes seconds a candidate")
    add("--rounds", type=int, default=20, help="calls of each candidate (default: 20)")
    add("--budget", metavar="15ms", help="pick the largest shipped model whose median stays below this")
    add("--task", choices=get_args(TaskName), default="detection", help="with --budget (default: detection)")
    words = "each CONFIG at every combination, as width_mult=0.5,1.0 image_size=160,224; RUNs give the scores"
    add("--sweep", nargs="+", metavar="KEY=A,B", help=words)
    words = "with --sweep: new folder for table and picture (default: out/sweep/CONFIG)"
    add("--output", type=Path, metavar="DIR", help=words)
    add("--json", type=Path, metavar="FILE", help="write every number, in seconds and bytes")
    add("--picture", type=Path, metavar="FILE", help="write a picture (.png, .svg, .pdf)")
    return parser


@command
def main(argv: Sequence[str] | None = None) -> None:
    arguments = parser().parse_args(argv)
    backends = _names(arguments.backends)
    threads, batches = (_counts(name, getattr(arguments, name)) for name in ("threads", "batch"))
    if arguments.rounds < 1:
        raise InputError(f"--rounds is {arguments.rounds}: give a number from 1.")
    sizes = None if arguments.sizes is None else _sizes(arguments.sizes)
    budget = None if arguments.budget is None else _seconds(arguments.budget)
    if arguments.sweep is not None:
        _sweep(arguments, backends, threads, batches, budget)
        return
    if arguments.output is not None:
        raise InputError("--output is for --sweep: give --json and --picture instead.")
    check_new(arguments.json, "--json")
    check_new(arguments.picture, "--picture")
    names = _chosen(arguments, budget)

    from pocketvision.core.files import write_json
    from pocketvision.deploy.benchmark.latency import benchmark
    from pocketvision.deploy.benchmark.sharing import saved_lines, with_parts
    from pocketvision.deploy.benchmark.sizes import at_sizes
    from pocketvision.deploy.benchmark.summary import benchmark_json, benchmark_picture, benchmark_table

    with tempfile.TemporaryDirectory(prefix="pocketvision-benchmark-") as folder:
        named = [_subject(name) for name in names]
        subjects = with_parts(named) if sizes is None else at_sizes(with_parts(named), sizes, print)
        rows = benchmark(
            subjects, backends, threads, batches, arguments.rounds, Path(folder),
            with_memory=not arguments.no_memory,
        )  # fmt: skip
    rows.sort(key=lambda row: row.median / row.batch_size)
    print("\n".join([benchmark_table(rows), *saved_lines(named, rows)]))
    if arguments.json is not None:
        write_json(arguments.json, benchmark_json(rows))
    if arguments.picture is not None:
        benchmark_picture(rows, arguments.picture, budget)
    if budget is not None:
        whole = {subject.name for subject in named}
        print(_pick([row for row in rows if row.name in whole], budget))


def _chosen(arguments: argparse.Namespace, budget: float | None) -> list[str]:
    """What was named to be measured, or all shipped models of a task where a budget is to be met."""
    if arguments.subjects:
        return list(arguments.subjects)
    if budget is None:
        raise InputError(
            "Say what to measure: a RUN, a FILE, a CONFIG, or --budget 15ms for the shipped models."
        )
    return [name for name in shipped_configs() if families().get(name.partition("_")[0]) == arguments.task]


def _sweep(
    arguments: argparse.Namespace,
    backends: Sequence[str],
    threads: Sequence[int],
    batches: Sequence[int],
    budget: float | None,
) -> None:
    """Time the nets of --sweep in turn; write the table and the picture of what each costs and scores."""
    configs, folders = _swept(arguments)
    output = arguments.output or free_path(Path("out", "sweep", configs[0].stem))
    check_empty(output, "--output")

    from pocketvision.deploy.benchmark.curves import sweep_picture
    from pocketvision.deploy.benchmark.latency import Subject, benchmark
    from pocketvision.deploy.benchmark.nets import parse_sweep, swept_nets
    from pocketvision.deploy.benchmark.scores import read_scored_runs, runs_of_nets
    from pocketvision.deploy.benchmark.trade_off import PICTURE, fitting, joined, sweep_table, write_sweep

    sweep, runs = parse_sweep(arguments.sweep), read_scored_runs(folders)
    nets = swept_nets(configs, sweep, runs[0].experiment.class_names if runs else None)
    runs_of_each = runs_of_nets(nets, runs)
    subjects = [Subject(net.name, net.model) for net in nets]
    with tempfile.TemporaryDirectory(prefix="pocketvision-benchmark-") as folder:
        measured = benchmark(subjects, backends, threads, batches, arguments.rounds, Path(folder))
    rows = joined(nets, measured, runs_of_each)
    write_sweep(output, rows)
    sweep_picture(rows, output / PICTURE, budget)
    print(sweep_table(rows))
    if budget is not None:
        print(fitting(rows, budget))
    print(f"sweep: {output} (look at {output / PICTURE})")


def _swept(arguments: argparse.Namespace) -> tuple[list[Path], list[Path]]:
    """Configs and run folders of a sweep."""
    for option in ("sizes", "json", "picture"):
        if getattr(arguments, option) is not None:
            remedy = "state image_size=224,320 there" if option == "sizes" else "give --output"
            raise InputError(f"--{option} does not go with --sweep: {remedy}.")
    folders = [Path(name) for name in arguments.subjects if Path(name).is_dir()]
    configs = [find_config(name) for name in arguments.subjects if not Path(name).is_dir()]
    if not configs:
        raise InputError(
            "Name the CONFIG whose values are swept before --sweep, as classifier_v2_imagenet --sweep ..."
        )
    return configs, folders


def _subject(name: str) -> Subject:
    """What a word of the command line means; configs get fresh weights, as fast as trained ones."""
    from pocketvision.deploy.benchmark.latency import Subject
    from pocketvision.deploy.formats import FORMATS
    from pocketvision.runs.ready_model import load_model

    path = Path(name)
    if path.suffix in {format.suffix for format in FORMATS.values() if format.runs_here}:
        return Subject(name, path)
    if path.is_dir() or path.suffix == ".safetensors":
        return Subject(name, load_model(path))
    from pocketvision.deploy.benchmark.nets import PLACEHOLDER_NAMES
    from pocketvision.runs.folder import load_experiment

    config = find_config(name)
    experiment, _ = load_experiment(config, [])
    names = experiment.class_names or PLACEHOLDER_NAMES
    return Subject(config.stem, load_model(config, class_names=names))


def _pick(rows: Sequence[Measurement], budget: float) -> str:
    """The slowest model that fits on its fastest backend: of one task's models the larger is the better."""
    fastest: dict[tuple[str, Size], Measurement] = {}
    for row in sorted(rows, key=lambda row: row.median):
        fastest.setdefault((row.name, row.image_size), row)
    fitting = [row for row in fastest.values() if row.median <= budget]
    if not fitting:
        return f"nothing fits {budget * 1e3:g} ms: try more --threads or others of --backends"
    best = max(fitting, key=lambda row: row.median)
    height, width = best.image_size
    return (
        f"fits {budget * 1e3:g} ms: {best.name} on {best.backend}, {best.median * 1e3:.1f} ms "
        f"at {height}x{width}"
    )


def _names(text: str) -> list[str]:
    from pocketvision.deploy.formats import BACKENDS

    names = text.split(",")
    for name in names:
        if name not in BACKENDS:
            raise InputError(f"There is no backend '{name}': choose from {', '.join(BACKENDS)}.")
    return names


def _counts(name: str, text: str) -> list[int]:
    if not re.fullmatch(r"[1-9]\d*(,[1-9]\d*)*", text):
        raise InputError(f"--{name} is '{text}': give numbers from 1, as 1,2.")
    return [int(word) for word in text.split(",")]


def _sizes(text: str) -> list[Size]:
    """``224,320x480`` -> (height, width) of each."""
    if re.fullmatch(r"\d+(x\d+)?(,\d+(x\d+)?)*", text):
        pairs = [[int(side) for side in word.split("x")] for word in text.split(",")]
        if min(map(min, pairs)) >= _MIN_SIDE:
            return [(pair[0], pair[-1]) for pair in pairs]
    raise InputError(f"--sizes is '{text}': give sides from {_MIN_SIDE}, as 224,320x480 (height x width).")


def _seconds(text: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s)", text)
    if found is None or float(found[1]) == 0:
        raise InputError(f"--budget is '{text}': give a time, as 15ms.")
    return float(found[1]) * _UNITS[found[2]]


if __name__ == "__main__":
    sys.exit(main())
