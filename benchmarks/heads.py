"""SSDLite and GFL on BCCD at several rates: the trainings behind "A dense head" in docs/results.md.

    python benchmarks/heads.py SHARED OUTPUT [--only NAME ...]

SHARED holds data/bccd and weights/. The backbone starts from published weights, at a rate of 4e-4 in every
run; the rate is that of what starts from random weights: head, extra blocks, pyramid. Test is scored once, by
the last weights. Called again it goes on with what is missing. The last lines compare the best of both
families over the same pictures (paired bootstrap).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

TOOLS = Path(__file__).resolve().parent.parent / "tools"
RATES = {"1e-3": "0.4", "4e-3": "0.1", "1e-2": "0.04", "2e-2": "0.02", "4e-2": "0.01"}
"""Rate -> the backbone's factor that makes 4e-4 of it."""
RUNS = {
    f"{family}_{rate}_{epochs}": (f"{family}_v2_bccd", rate, epochs)
    for family, rate, epochs in (
        ("ssdlite", "1e-3", 6), ("ssdlite", "4e-3", 6), ("ssdlite", "1e-2", 6), ("ssdlite", "1e-2", 24),
        ("gfl", "1e-3", 6), ("gfl", "4e-3", 6), ("gfl", "1e-2", 6), ("gfl", "2e-2", 6), ("gfl", "4e-2", 6),
        ("gfl", "2e-2", 24),
    )
}  # fmt: skip
PAIRS = (("ssdlite_1e-2_6", "gfl_2e-2_6"), ("ssdlite_1e-2_24", "gfl_2e-2_24"))


def train(name: str, shared: Path, output: Path) -> None:
    """Train a run, or go on with it."""
    config, rate, epochs = RUNS[name]
    folder = output / name
    command = [sys.executable, str(TOOLS / "train.py")]
    if (folder / "checkpoints").is_dir() and any((folder / "checkpoints").iterdir()):
        command += ["--resume", str(folder)]
    else:
        weights = shared / "weights" / "mobilenet_v2-b0353104.pth"
        command += [config, f"data.root={shared / 'data' / 'bccd'}", f"model.weights={weights}"]
        command += [f"task.optimizer.lr={rate}", f"task.backbone_lr_factor={RATES[rate]}"]
        command += [f"trainer.max_epochs={epochs}", "--run-dir", str(folder)]
    print(f"== {name}", flush=True)
    subprocess.run(command, check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Train SSDLite and GFL alike and compare them.")
    parser.add_argument("shared", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--only", nargs="+", choices=RUNS, default=list(RUNS))
    arguments = parser.parse_args()
    scores = {name: arguments.output / name / "metrics.json" for name in RUNS}
    for name in arguments.only:
        if not scores[name].is_file():
            train(name, arguments.shared, arguments.output)
    for name, path in scores.items():
        if path.is_file():
            metrics = json.loads(path.read_text())
            classes = ", ".join(f"{key} {value['AP']:.3f}" for key, value in metrics["per_class"].items())
            print(f"{name:<18} AP {metrics['AP']:.4f}  AP50 {metrics['AP50']:.4f}  {classes}")
    for pair in PAIRS:
        if all(scores[name].is_file() for name in pair):
            runs = [str(arguments.output / name) for name in pair]
            subprocess.run([sys.executable, str(TOOLS / "compare.py"), *runs], check=True)


if __name__ == "__main__":
    main()
