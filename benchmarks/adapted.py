"""`adapt` to 0.7x latency beside a width and an image size multiplier of equal training.

    python benchmarks/adapted.py SHARED OUTPUT [--data bccd|camvid] [--latency 0.7x] [--only NAME ...]
        [--override KEY=VALUE ...] [--again KEY=VALUE ...]

SHARED holds data/ and weights/. ``source`` is the config as it is, from published ImageNet weights. All
others begin with its weights and are trained as the config says once more, or shorter (``--again
trainer.max_epochs=10``): ``adapted`` by `pocketvision adapt`, ``uniform`` with every width at the same share,
cut by the same rule to what the layers of ``adapted`` take, ``smaller`` at the largest image size that is not
slower, and ``longer``, as slow as ``source``. Test images are scored once, by the last weights (camvid: the
best of those that were scored on val). At the end all are timed in turn in ONNX Runtime, one thread, and
compared by a paired bootstrap. Called again it goes on with what is missing.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import torch
from timing import interleaved

from pocketvision.backbones.width_groups import adaptable_body, width_groups
from pocketvision.backbones.widths import WIDTH_STEP, Widths
from pocketvision.core.command import find_config
from pocketvision.core.errors import InputError
from pocketvision.core.files import write_json
from pocketvision.core.weights import save_weights
from pocketvision.deploy.export.to_file import export_model
from pocketvision.deploy.latency.known import Device, measured_here, plan_of_model
from pocketvision.deploy.runtimes.opening import open_runtime
from pocketvision.evaluation.compare import results_folder
from pocketvision.evaluation.per_image_results import read_images
from pocketvision.metrics.bootstrap import differences
from pocketvision.models import SingleModel, VisionModel
from pocketvision.runs.build import build_model
from pocketvision.runs.folder import load_experiment
from pocketvision.runs.ready_model import load_model
from pocketvision.tasks.adapt.network import AdaptedNetwork
from pocketvision.tasks.adapt.path import SearchFolder
from pocketvision.tasks.adapt.result import source_of, write_adapted
from pocketvision.tasks.adapt.truncate import truncate

TOOLS = Path(__file__).resolve().parent.parent / "tools"
THREADS, SIZE_STEP = 1, 16
SHARES = (0.95, 0.9, 0.85, 0.8, 0.75, 0.7)
NAMES = ("source", "adapted", "uniform", "smaller", "longer")


class Task(NamedTuple):
    """A data set's config, and its score on the test images."""

    config: str
    metric: str


TASKS = {"bccd": Task("ssdlite_v2_bccd", "AP"), "camvid": Task("lraspp_v2_camvid", "mIoU")}


class Bench(NamedTuple):
    """Where runs lie, and what every training is told."""

    output: Path
    task: Task
    latency: str
    told: list[str]
    again: list[str]
    """What trainings after the first are told besides."""

    def train(self, config: str | Path, run: str, *overrides: str) -> None:
        words = [str(config), *self.told, *overrides, "--run-dir", str(self.output / run)]
        subprocess.run([sys.executable, str(TOOLS / "train.py"), *words], check=True)

    def train_again(self, config: str | Path, run: str, *overrides: str, weights: Path | None = None) -> None:
        """From ``weights``, or those of the source."""
        file = weights or self.output / "source" / "weights.safetensors"
        self.train(config, run, *self.again, f"model.weights={str(file)!r}", *overrides)

    def scored(self, run: str) -> Path:
        """The folder of the scores on the test images."""
        folder = self.output / run
        try:
            return results_folder(folder, "test")
        except InputError:
            subprocess.run(
                [sys.executable, str(TOOLS / "eval.py"), str(folder), "--split", "test"], check=True
            )
            return results_folder(folder, "test")


def adapt(bench: Bench) -> None:
    """By the tool, three proposals a round, as its guide advises for two cores."""
    target = bench.output / "adapted"
    words = [str(bench.output / "source"), "--latency", bench.latency, "--threads", str(THREADS)]
    words += ["--at-once", "3", "--run-dir", str(target), *bench.again]
    if target.with_name("adapted_search").is_dir():
        words = ["--resume", str(target)]
    subprocess.run([sys.executable, str(TOOLS / "adapt.py"), *words], check=True)


def uniform(bench: Bench) -> None:
    """Every width at one share, for the latency by layers of the adapted network."""
    source = source_of(bench.output / "source", [])
    network = AdaptedNetwork(source)
    latency, _ = measured_here(plan_of_model(network.model, network.build), Device("onnx", THREADS))
    target = SearchFolder(bench.output / "adapted_search").stops()[-1].seconds
    model, widths, share = network.model, network.widths, 1.0
    while latency(widths) > target:
        share -= 0.005
        widths = narrowed(network.model, network.widths, share)
    at: Widths = network.widths
    for group in width_groups(adaptable_body(network.model.backbone)):
        at = group.resized(at, group.width(widths))
        narrow = network.build(at)
        truncate(model, narrow, group)
        model = narrow
    folder = bench.output / "uniform_start"
    shutil.rmtree(folder, ignore_errors=True)
    about = f"{share:.3f} of every width, {latency(widths) * 1e3:.2f} ms by its layers"
    config = write_adapted(folder / "config", source, widths, about)
    save_weights(folder / "weights.safetensors", model, network.passport(model, widths))
    print(about, flush=True)
    bench.train_again(config, "uniform", weights=folder / "weights.safetensors")


def narrowed(model: SingleModel, widths: Widths, share: float) -> tuple[tuple[int, int], ...]:
    """All widths that can change at ``share`` of their own."""
    changed = tuple((expanded, out) for expanded, out in widths)
    for group in width_groups(adaptable_body(model.backbone)):
        width = max(WIDTH_STEP, round(group.width(widths) * share / WIDTH_STEP) * WIDTH_STEP)
        changed = group.resized(changed, width)
    return changed


def smaller(bench: Bench) -> None:
    """The largest image size at which the source is not slower than the adapted network."""
    source = load_model(bench.output / "source")
    search = SearchFolder(bench.output / "adapted_search")
    models: dict[str, VisionModel] = {"adapted": load_model(search.weights(len(search.stops()) - 1))}
    for share in SHARES:
        height, width = source.resize.image_size
        size = (round(height * share / SIZE_STEP) * SIZE_STEP, round(width * share / SIZE_STEP) * SIZE_STEP)
        overrides = [f"model.image_size={size}", "model.weights=None"]
        experiment, _ = load_experiment(find_config(bench.task.config), overrides)
        models[str(size)] = build_model(experiment, source.class_names)
    medians = timed(models, bench.output / "sizes")
    print(medians, flush=True)
    chosen = next(name for name in models if name != "adapted" and medians[name] <= 1.01 * medians["adapted"])
    bench.train_again(bench.task.config, "smaller", f"model.image_size={chosen}")


def timed(models: dict[str, VisionModel], folder: Path) -> dict[str, float]:
    """Median milliseconds of each in ONNX Runtime, in turn."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    calls = {}
    for number, (name, model) in enumerate(models.items()):
        runtime = open_runtime(export_model(model.eval(), "onnx", folder / f"{number}.onnx"), THREADS)
        images = torch.randint(0, 256, (1, 3, *model.resize.image_size), dtype=torch.uint8)
        calls[name] = lambda runtime=runtime, images=images: runtime(images)
    return interleaved(calls, 60, time.perf_counter)


def report(bench: Bench, names: list[str]) -> None:
    """Print scores, latencies and differences, and write them."""
    medians = timed({name: load_model(bench.output / name) for name in names}, bench.output / "timed")
    scored = {name: bench.scored(name) for name in names}
    resampled = {name: read_images(folder).resampled() for name, folder in scored.items()}
    rows = {}
    for name in names:
        score = json.loads((scored[name] / "metrics.json").read_text())[bench.task.metric]
        rows[name] = [f"{bench.task.metric} {score:.4f}, {medians[name]:.2f} ms"]
        for other in {"source", "adapted"} & (set(names) - {name}):
            gain, low, high, p = differences(resampled[other], resampled[name])[bench.task.metric]
            rows[name].append(f"on {other} {gain:+.4f} ({low:+.4f} to {high:+.4f}, p {p:.3f})")
        print(name, "; ".join(rows[name]), sep=": ", flush=True)
    write_json(bench.output / "compared.json", rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("shared", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--data", choices=TASKS, default="bccd")
    parser.add_argument("--latency", default="0.7x")
    parser.add_argument("--override", nargs="+", default=[], help="what every training is told besides")
    parser.add_argument("--again", nargs="+", default=[], help="and every training but the first")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=list(NAMES))
    arguments = parser.parse_args()
    data = f"data.root={arguments.shared / 'data' / arguments.data}"
    told = [data, "data.num_workers=0", "data.cache=ram", "checkpoint_minutes=2", *arguments.override]
    bench = Bench(arguments.output.resolve(), TASKS[arguments.data], arguments.latency, told, arguments.again)
    published = f"model.weights={arguments.shared / 'weights' / 'mobilenet_v2-b0353104.pth'}"
    ways = {
        "source": lambda: bench.train(bench.task.config, "source", published),
        "adapted": lambda: adapt(bench),
        "uniform": lambda: uniform(bench),
        "smaller": lambda: smaller(bench),
        "longer": lambda: bench.train_again(bench.task.config, "longer"),
    }
    for name in arguments.only:
        if not (bench.output / name / "metrics.json").is_file():
            print(f"== {name}", flush=True)
            ways[name]()
    report(bench, arguments.only)


if __name__ == "__main__":
    main()
