"""Tiles against whole pictures: how fast they are read, and what a detector learns from them.

    python benchmarks/tiles.py input [--pictures 4] [--tile 640]
    python benchmarks/tiles.py train SHARED OUTPUT [--steps 1150]

``input`` makes JPEG files of 4000x2250 and reads all their training tiles, augmented to 320x320, in an
epoch's order as a training does, and with the whole picture decoded for each tile; in pairs, interleaved, one
thread. ``train`` is ``train --data`` on aerial_cars without a word about tiles, and with
``data.tile_size=None``, for equal steps of 16; each is scored once. Called again it goes on.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from pocketvision.core.resize import Resize
from pocketvision.datasets import YoloDataModule

TRAIN = [sys.executable, str(Path(__file__).resolve().parent.parent / "tools" / "train.py")]
WAYS = {"tiles": (), "whole": ("data.tile_size=None",)}
SIZE = 2250, 4000
PAIRS = 5


def write_pictures(root: Path, count: int) -> None:
    """Noise of the coarseness of photographs with boxes everywhere, as YOLO."""
    rng = np.random.default_rng(0)
    for kind in ("images", "labels"):
        (root / kind / "train").mkdir(parents=True)
    for number in range(count):
        coarse = rng.integers(0, 256, (SIZE[0] // 8, SIZE[1] // 8, 3), dtype=np.uint8)
        pixels = cv2.resize(coarse, SIZE[::-1], interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(root / "images" / "train" / f"{number}.jpg"), pixels, [cv2.IMWRITE_JPEG_QUALITY, 90])
        centers = [(x, y) for x in np.arange(0.02, 1, 0.04) for y in np.arange(0.02, 1, 0.04)]
        lines = [f"0 {x:.4f} {y:.4f} 0.008 0.014" for x, y in centers]
        (root / "labels" / "train" / f"{number}.txt").write_text("\n".join(lines))
    (root / "data.yaml").write_text("path: .\ntrain: images/train\nval: images/train\nnames: [thing]\n")


def seconds_of_epoch(data: YoloDataModule, *, holds: bool) -> tuple[float, int]:
    """Seconds for an epoch's tiles and their number; ``holds`` whole pictures while their tiles are read."""
    loader = data.train_dataloader()
    dataset = loader.dataset
    if not holds:
        dataset._decoded.load = lambda name, decode: decode()  # type: ignore[attr-defined]
    begin, count = time.perf_counter(), 0
    for key in loader.sampler:
        dataset[key]
        count += 1
    return time.perf_counter() - begin, count


def measure_input(arguments: argparse.Namespace) -> None:
    """Print both rates and their ratio."""
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        write_pictures(Path(folder), arguments.pictures)
        times: dict[bool, list[float]] = {True: [], False: []}
        for pair in range(PAIRS):
            for holds in (True, False):
                data = YoloDataModule(
                    folder, tile_size=arguments.tile, num_workers=0, batch_size=16, seed=pair
                )
                data.connect(data.class_names(), Resize((320, 320)))
                seconds, count = seconds_of_epoch(data, holds=holds)
                times[holds].append(seconds / count)
    held, decoded = (1 / statistics.median(times[holds]) for holds in (True, False))
    print(f"{count} tiles of {arguments.tile} from {arguments.pictures} JPEG files of {SIZE[1]}x{SIZE[0]}")
    print(f"whole pictures held while their tiles are read: {held:.1f} tiles/s")
    print(
        f"the whole picture decoded for each tile:        {decoded:.1f} tiles/s, ratio {held / decoded:.2f}"
    )


def measure_training(arguments: argparse.Namespace) -> None:
    """Train what is missing, and print the scores."""
    for name, words in WAYS.items():
        folder = arguments.output / name
        if not (folder / "metrics.json").is_file():
            command = [*TRAIN, "--resume", str(folder)]
            if not any(folder.glob("checkpoints/*")):
                weights = arguments.shared / "weights" / "mobilenet_v2-b0353104.pth"
                command = [
                    *TRAIN, "--data", str(arguments.shared / "data" / "aerial_cars"), "--model", "ssdlite_v2",
                    f"model.weights={weights}", "data.batch_size=16", f"trainer.max_steps={arguments.steps}",
                    *words, "--run-dir", str(folder),
                ]  # fmt: skip
            subprocess.run(command, check=True)
        metrics = json.loads((folder / "metrics.json").read_text())
        scores = ", ".join(f"{key} {metrics[key]:.3f}" for key in ("AP", "AP50", "AR_100"))
        classes = ", ".join(
            f"{key} {row['AP50']:.3f} ({row['num_truth']})"
            for key, row in metrics["per_class"].items()
            if row["num_truth"]
        )
        print(f"{name}: {scores}; AP50 by class (boxes): {classes}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(required=True)
    reading = commands.add_parser("input")
    reading.add_argument("--pictures", type=int, default=4)
    reading.add_argument("--tile", type=int, default=640)
    reading.set_defaults(run=measure_input)
    training = commands.add_parser("train")
    training.add_argument("shared", type=Path)
    training.add_argument("output", type=Path)
    training.add_argument("--steps", type=int, default=1150)
    training.set_defaults(run=measure_training)
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
