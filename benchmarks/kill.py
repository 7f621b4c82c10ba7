"""kill -9 at random moments of a training, resumed each time, against the same training undisturbed.

    python benchmarks/kill.py --kills 10 --processes 1 --output /tmp/kill

Losses, learning rates and scores of every step and the final weights must be bit-identical; the exit
code is 1 if they are not. Every step writes a checkpoint, so that kills hit writes too.
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from safetensors.numpy import load_file

TRAIN = [sys.executable, str(Path(__file__).resolve().parent.parent / "tools" / "train.py")]
CONFIG = [
    "quickstart", "data.num_train=24", "data.num_val=6", "data.batch_size=2", "data.num_workers=1",
    "model.image_size=(64,64)", "task.ema_decay=0.9", "checkpoint_minutes=0",
    "trainer.max_epochs=3", "trainer.limit_val_batches=1.0", "trainer.check_val_every_n_epoch=1",
]  # fmt: skip
PATIENCE = 300.0
"""Seconds until a training that makes no step counts as hanging."""


def start(arguments: list[str], log: Path) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with log.open("ab") as file:
        return subprocess.Popen(
            [*TRAIN, *arguments], stdout=file, stderr=file, start_new_session=True, env=environment
        )


def num_rows(run: Path) -> int:
    path = run / "metrics.csv"
    return path.read_text().count("\n") - 1 if path.is_file() else 0


def kill_once(
    arguments: list[str], run: Path, rng: random.Random, num_steps: int, kills_left: int, log: Path
) -> bool:
    """Train until a random step and moment, then kill every process; False if it ended before that.

    The step leaves room for the kills that are to come.
    """
    begun = num_rows(run)
    step = begun + rng.randrange(max(1, 2 * (num_steps - begun) // (kills_left + 1)))
    process, deadline = start(arguments, log), time.monotonic() + PATIENCE
    while process.poll() is None and num_rows(run) <= step and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(rng.uniform(0, 0.1))
    if process.poll() is not None:
        return False
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return True


def rows(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def differences(one: Path, other: Path) -> list[str]:
    """What two runs differ in; nothing if they are the same to the last bit."""
    found = []
    if rows(one) != rows(other):
        found.append(f"metrics.csv ({len(rows(one))} rows and {len(rows(other))})")
    weights, others = (load_file(run / "weights.safetensors") for run in (one, other))
    changed = [name for name in weights if weights[name].tobytes() != others[name].tobytes()]
    return [*found, f"{len(changed)} of {len(weights)} tensors"] if changed else found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, required=True, help="a new folder")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True)
    parallel = [f"trainer.devices={arguments.processes}", "trainer.accelerator=cpu"]
    config = [*CONFIG, *(parallel if arguments.processes > 1 else [])]
    undisturbed, killed = arguments.output / "undisturbed", arguments.output / "killed"
    log = arguments.output / "log.txt"
    if start([*config, "--run-dir", str(undisturbed)], log).wait() != 0:
        print(f"the undisturbed training failed: {log}")
        return 1
    num_steps, rng = len(rows(undisturbed)), random.Random(arguments.seed)
    command, num_kills = [*config, "--run-dir", str(killed)], 0
    while num_kills < arguments.kills and kill_once(
        command, killed, rng, num_steps, arguments.kills - num_kills, log
    ):
        num_kills += 1
        print(f"kill {num_kills}: {num_rows(killed)} of {num_steps} rows were written", flush=True)
        if (killed / "checkpoints").is_dir():
            command = ["--resume", str(killed)]
    if not (killed / "metrics.json").is_file() and start(command, log).wait() != 0:
        print(f"the killed training could not go on: {log}")
        return 1
    found = differences(undisturbed, killed)
    print(f"{num_kills} kills, {arguments.processes} processes: {found or 'identical'}")
    return 1 if found or num_kills == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
