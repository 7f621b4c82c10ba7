"""Rare classes: images drawn more often, boxes that weigh more, both or neither, for equal steps.

    python benchmarks/rare_classes.py SHARED OUTPUT [--steps 3000] [--seeds 0 1] [--batch-size 16]

SHARED holds data/ and weights/. Every run is ``train --data`` with SSDLite on MobileNetV2 from published
weights, and one recipe for all: warm-up, averaging and momentum are stated. The last weights are scored once.
Classes with training and validation boxes are sorted by the share of training images that hold them, in
three parts; a part's AP is the mean of its classes, and of the seeds. How far the others are ahead of a plain
run comes from a paired bootstrap over the validation images. Called again it goes on with what is missing.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pocketvision.datasets import detect_format
from pocketvision.datasets.format_modules import data_module_of
from pocketvision.datasets.repeats import class_presence
from pocketvision.evaluation.per_image_results import DetectionImages, read_images
from pocketvision.metrics.bootstrap import differences
from pocketvision.metrics.coco_resampled import MatchTable, ResampledAP

TRAIN = [sys.executable, str(Path(__file__).resolve().parent.parent / "tools" / "train.py")]
WAYS = {
    "plain": ("data.repeat_threshold=None",),
    "repeated": ("data.repeat_threshold=0.1",),
    "weighed": ("data.repeat_threshold=None", "task.loss.class_weights=data"),
    "both": ("data.repeat_threshold=0.1", "task.loss.class_weights=data"),
}
PARTS = ("rarest third", "middle third", "most frequent third")


class MeanOfRuns:
    """AP and AP50 of some classes, the mean of several runs, where each image counts as its weight says."""

    def __init__(self, runs: list[DetectionImages], classes: list[str]) -> None:
        self.num_images = len(runs[0].image_ids)
        self._scores = [ResampledAP(_of_classes(run, classes), self.num_images, len(classes)) for run in runs]

    def __call__(self, weights: NDArray[np.int64]) -> dict[str, float]:
        rows = [score(weights) for score in self._scores]
        return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


def _of_classes(run: DetectionImages, classes: list[str]) -> MatchTable:
    """The matches of ``classes``, renumbered in the order in which the run has them."""
    kept = np.isin(run.class_names, classes)
    numbers = np.where(kept, np.cumsum(kept) - 1, -1).astype(np.int32)
    table = run.matches.table()
    found, true = numbers[table.categories], numbers[table.truth_categories]
    own, wanted = found >= 0, true >= 0
    detections = table.images[own], found[own], table.hits[own], table.counted[own]
    return MatchTable(*detections, table.truth_images[wanted], true[wanted])


def _boxes_of(run: Path) -> DetectionImages:
    images = read_images(run)
    assert isinstance(images, DetectionImages), run
    return images


def thirds(data: Path, run: DetectionImages) -> list[list[str]]:
    """Names of the classes that have boxes for training and validation, rarest first, in three parts."""
    module = data_module_of(detect_format(data, "detection"))(num_workers=0)
    train = module.own_records(module.train_split)
    shares = dict(zip(train.class_names, class_presence(train).mean(axis=0).tolist(), strict=True))
    scored = {str(run.class_names[k]) for k in np.unique(run.truth_categories)}
    names = sorted((share, name) for name, share in shares.items() if share > 0 and name in scored)
    return [[name for _, name in part] for part in np.array_split(np.array(names, dtype=object), 3)]


def train(name: str, seed: int, arguments: argparse.Namespace) -> None:
    """Train a run, or go on with it."""
    folder: Path = arguments.output / f"{name}_{seed}"
    command = [*TRAIN, "--resume", str(folder)]
    if not any(folder.glob("checkpoints/*")):
        shutil.rmtree(folder, ignore_errors=True)  # stopped before its first checkpoint
        steps: int = arguments.steps
        words = [
            *("--data", str(arguments.shared / "data" / arguments.data), "--model", "ssdlite_v2"),
            f"model.weights={arguments.shared / 'weights' / 'mobilenet_v2-b0353104.pth'}",
            *(
                f"trainer.max_steps={steps}",
                "trainer.limit_val_batches=0",
                f"seed={seed}",
                f"data.seed={seed}",
                f"data.batch_size={arguments.batch_size}",
            ),
            *(f"task.warmup_steps={max(1, steps // 10)}", f"task.ema_decay={1 - 1 / max(10, steps // 20)}"),
            *("task.freeze_until=None", f"model.norm_momentum={min(0.1, max(0.01, 100 / steps)):.3g}"),
        ]
        command = [*TRAIN, *words, *WAYS[name], "--run-dir", str(folder)]
    print(f"== {folder.name}", flush=True)
    subprocess.run(command, check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("shared", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--data", default="coco_mini", help="a folder of boxes in SHARED/data")
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--batch-size", type=int, default=32, help="32 takes 9 GB, 16 half of it")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--only", nargs="+", choices=WAYS, default=list(WAYS))
    arguments = parser.parse_args()
    for seed in arguments.seeds:
        for name in arguments.only:
            if not (arguments.output / f"{name}_{seed}" / "metrics.json").is_file():
                train(name, seed, arguments)
    runs = {
        name: [_boxes_of(arguments.output / f"{name}_{seed}") for seed in arguments.seeds]
        for name in arguments.only
    }
    parts = thirds(arguments.shared / "data" / arguments.data, next(iter(runs.values()))[0])
    results = {}
    for part, classes in zip(PARTS, parts, strict=True):
        scores = {name: MeanOfRuns(own, classes) for name, own in runs.items()}
        first = next(iter(scores))
        every = np.ones(scores[first].num_images, dtype=np.int64)
        print(f"{part}: {len(classes)} classes, {', '.join(classes[:6])} ...")
        for name, score in scores.items():
            result = score(every)
            line = f"  {name:<10} AP {result['AP']:.4f}  AP50 {result['AP50']:.4f}"
            if name != first:
                value, low, high, p_value = differences(scores[first], score)["AP"]
                line += f"  AP {value:+.4f} ({low:+.4f} to {high:+.4f}, p {p_value:.3f}) on {first}"
                result |= {"AP_gain": value, "AP_gain_low": low, "AP_gain_high": high}
            results[f"{part}, {name}"] = result
            print(line, flush=True)
    (arguments.output / "results.json").write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
