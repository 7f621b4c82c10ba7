"""Blood cells with fifty labels: what ``unlabelled.py`` and ``ranking.py`` train on, and how it is scored.

A seed draws 50 of the 292 pictures of ``trainval``; 40 of them are to train on, 10 for validation. Labels of
the others are out of reach of a training. All is scored on the 72 test pictures, which no training sees.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pocketvision.evaluation.per_image_results import DetectionImages, read_images
from pocketvision.metrics.bootstrap import differences

TOOLS = Path(__file__).resolve().parent.parent / "tools"
NUM_LABELED, NUM_VAL = 50, 10


def names_of(bccd: Path, split: str) -> list[str]:
    """The pictures of a split, without suffix."""
    return (bccd / "ImageSets" / "Main" / f"{split}.txt").read_text().split()


def shuffled(bccd: Path, seed: int) -> list[str]:
    """The pictures of ``trainval`` in the order of a seed: the first 50 are labeled."""
    names = names_of(bccd, "trainval")
    return [names[i] for i in np.random.default_rng(seed).permutation(len(names))]


def write_data(bccd: Path, folder: Path, labeled: Sequence[str], more: Iterable[str] = ()) -> Path:
    """Pascal VOC of ``labeled`` pictures, the last ones for validation, ``more`` to train on, and test."""
    lists = {
        "train": [*labeled[:-NUM_VAL], *more],
        "val": list(labeled[-NUM_VAL:]),
        "test": names_of(bccd, "test"),
    }
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (folder / name).mkdir(parents=True)
    for split, names in lists.items():
        (folder / "ImageSets" / "Main" / f"{split}.txt").write_text("\n".join(names))
        for name in names:
            shutil.copyfile(bccd / "Annotations" / f"{name}.xml", folder / "Annotations" / f"{name}.xml")
            shutil.copyfile(bccd / "JPEGImages" / f"{name}.jpg", folder / "JPEGImages" / f"{name}.jpg")
    return folder


def write_pictures(bccd: Path, folder: Path, names: Iterable[str]) -> Path:
    """A folder of pictures without labels."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in names:
        shutil.copyfile(bccd / "JPEGImages" / f"{name}.jpg", folder / f"{name}.jpg")
    return folder


def call(tool: str, *words: str | Path) -> None:
    """Run a command of this package."""
    subprocess.run([sys.executable, str(TOOLS / f"{tool}.py"), *map(str, words)], check=True)


def train(run: Path, data: Path, seed: int, arguments: argparse.Namespace, *words: str | Path) -> Path:
    """Train ``run`` on ``data``, or go on with it; all but ``words`` is the same for all. Then score it."""
    if not is_trained(run, words):
        if any(run.glob("checkpoints/*")):
            call("train", "--resume", run)
        else:
            shutil.rmtree(run, ignore_errors=True)  # stopped before its first checkpoint
            call("train", *recipe(data, seed, arguments, words), *words, "--run-dir", run)
    return score(run, run / "test")


def is_trained(run: Path, words: Sequence[str | Path]) -> bool:
    """Whether a run has all that ``train`` with these words makes."""
    if "--unlabelled" not in words:
        return (run / "metrics.json").is_file()
    record = run / "unlabelled.json"
    return record.is_file() and "outcome" in json.loads(record.read_text())


def recipe(data: Path, seed: int, arguments: argparse.Namespace, more: Sequence[str | Path]) -> list[str]:
    """A config and its overrides, the same for all runs but for the weights to start from."""
    steps, size = arguments.steps, arguments.size
    start = [] if "--from" in more else [f"model.weights={arguments.weights}"]
    return [
        arguments.config, *start, f"data.root={data}", "data.train_split=train", "data.val_split=val",
        f"data.batch_size={arguments.batch_size}", "data.num_workers=0", "data.cache=ram",
        f"model.image_size=({size}, {size})", "task.freeze_until=c2",
        f"task.ema_decay={1 - 1 / max(10, steps // 20)}", "trainer.max_epochs=-1",
        f"trainer.max_steps={steps}", f"seed={seed}",
    ]  # fmt: skip


def score(run: Path, folder: Path, *words: str | Path) -> Path:
    """Score a run on test, once."""
    if not (folder / "metrics.json").is_file():
        shutil.rmtree(folder, ignore_errors=True)
        call("eval", run, "--split", "test", "--output", folder, *words)
    return folder


class MeanScore:
    """AP and AP50, the mean of several runs, where each image counts as its weight says."""

    def __init__(self, runs: Sequence[DetectionImages]) -> None:
        self.num_images = len(runs[0].image_ids)
        self._scores = [run.resampled() for run in runs]

    def __call__(self, weights: NDArray[np.int64]) -> dict[str, float]:
        rows = [score(weights) for score in self._scores]
        return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


def report(ways: Mapping[str, Sequence[Path]], output: Path) -> None:
    """Print each way's AP a seed and its mean, and how far each is ahead of the first, with an interval."""
    scores = {name: MeanScore([read_images(folder) for folder in own]) for name, own in ways.items()}  # type: ignore[misc]
    first, *_ = scores
    results = {}
    for name, own in ways.items():
        rows = [json.loads((folder / "metrics.json").read_text()) for folder in own]
        result = {key: float(np.mean([row[key] for row in rows])) for key in ("AP", "AP50")}
        seeds = ", ".join(f"{row['AP']:.4f}" for row in rows)
        line = f"{name:<12} AP {result['AP']:.4f} ({seeds})  AP50 {result['AP50']:.4f}"
        if name != first:
            value, low, high, p_value = differences(scores[first], scores[name])["AP"]
            line += f"  AP {value:+.4f} ({low:+.4f} to {high:+.4f}, p {p_value:.3f}) on {first}"
            result |= {"AP_gain": value, "AP_gain_low": low, "AP_gain_high": high}
        results[name] = result
        print(line, flush=True)
    (output / "results.json").write_text(json.dumps(results, indent=2))


def parser(description: str | None) -> argparse.ArgumentParser:
    """What both benchmarks are told."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("bccd", type=Path, help="the data set")
    parser.add_argument("output", type=Path)
    parser.add_argument("--config", default="ssdlite_v2_bccd")
    parser.add_argument("--weights", default="imagenet", help="to start from: a name or a file")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--size", type=int, default=192, help="of the model's input")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    return parser
