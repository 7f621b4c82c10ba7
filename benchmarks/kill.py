"""Trainings killed at random moments, moved or copied and resumed, against the same training undisturbed.

    python benchmarks/kill.py --kills 10 --processes 1 2 --output /tmp/kill

For every number of processes, signal and target (one process of the training, or its whole group with its
data workers): losses, learning rates and scores of every step and the final weights must be bit-identical,
and 10 s after the signal (--end-seconds) no process may be left. Every step writes a checkpoint, so that
signals hit writes too. The exit code is 1 where that fails. Called again with the same --output it goes on
with what is missing.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from safetensors.numpy import load_file

TRAIN = [sys.executable, str(Path(__file__).resolve().parent.parent / "tools" / "train.py")]
QUICKSTART = ["quickstart", "data.num_train=24", "data.num_val=6"]
CONFIG = [
    "data.batch_size=2", "data.num_workers=1", "model.image_size=(64,64)", "task.ema_decay=0.9",
    "checkpoint_minutes=0",
    "trainer.max_epochs=3", "trainer.limit_val_batches=1.0", "trainer.check_val_every_n_epoch=1",
]  # fmt: skip
PATIENCE = 300.0
"""Seconds until a training that makes no step counts as hanging."""
SIGNALS = {name: getattr(signal, f"SIG{name}") for name in ("KILL", "TERM", "INT")}
MOVES = ("stays", "is moved", "is copied")


def start(arguments: list[str], log: Path) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with log.open("ab") as file:
        return subprocess.Popen(
            [*TRAIN, *arguments], stdout=file, stderr=file, start_new_session=True, env=environment
        )


def living(session: int) -> list[int]:
    """Processes of a session that have not ended."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, own, *_ = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(own) == session and state != "Z":
            found.append(int(status.parent.name))
    return found


def ranks(main: int) -> list[int]:
    """The processes that train: the first, and those that it started with another rank."""
    found = [main]
    for pid in living(main):
        try:
            parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
            environment = Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            continue
        if parent == main and b"\0LOCAL_RANK=" in environment:
            found.append(pid)
    return found


def num_rows(run: Path) -> int:
    try:
        return (run / "metrics.csv").read_text().count("\n") - 1
    except FileNotFoundError:  # not written yet, or just being replaced
        return 0


class Cell:
    """One training that is disturbed again and again."""

    def __init__(
        self, folder: Path, processes: int, name: str, target: str, seed: int, end_seconds: float
    ) -> None:
        self.end_seconds = end_seconds
        self.folder, self.processes, self.signal, self.target = folder, processes, SIGNALS[name], target
        self.rng = random.Random(f"{seed} {folder.name}")
        self.run, self.log = folder / "run", folder / "log.txt"
        self.slowest = 0.0
        folder.mkdir(parents=True)

    def disturb(self, arguments: list[str], num_steps: int, kills_left: int) -> bool:
        """Train until a random step and moment, then send the signal; False if it ended before that.

        The step leaves room for the signals that are to come.
        """
        begun = num_rows(self.run)
        step = begun + self.rng.randrange(max(1, 2 * (num_steps - begun) // (kills_left + 1)))
        process, deadline = start(arguments, self.log), time.monotonic() + PATIENCE
        while process.poll() is None and num_rows(self.run) <= step and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(self.rng.uniform(0, 0.1))
        if process.poll() is not None:
            if process.returncode:
                raise RuntimeError("the training could not go on")
            return False
        if self.target == "group":
            os.killpg(process.pid, self.signal)
        else:
            os.kill(self.rng.choice(ranks(process.pid)), self.signal)
        sent = time.monotonic()
        while process.poll() is None or living(process.pid):
            if time.monotonic() - sent > self.end_seconds:
                left = living(process.pid)
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                raise RuntimeError(f"{self.end_seconds:g} s after the signal {len(left)} processes are left")
            time.sleep(0.02)
        self.slowest = max(self.slowest, time.monotonic() - sent)
        return True

    def move(self, number: int) -> str:
        """Rename the run, copy it, or neither, in turn."""
        how, there = MOVES[number % len(MOVES)], self.folder / f"run{number}"
        if how == "is moved":
            self.run.rename(there)
        elif how == "is copied":
            shutil.copytree(self.run, there)
        else:
            there = self.run
        self.run = there
        return how

    def train(self, config: list[str], num_steps: int, num_kills: int) -> int:
        """The number of signals that hit a training which then went on to its end."""
        command, done = [*config, "--run-dir", str(self.run)], 0
        while done < num_kills and self.disturb(command, num_steps, num_kills - done):
            done += 1
            how = "is not there yet"
            if (self.run / "checkpoints").is_dir():
                how = self.move(done)
                command = ["--resume", str(self.run)]
            print(f"  signal {done}: {num_rows(self.run)} of {num_steps} rows, the run {how}", flush=True)
        failed = done == num_kills and start(command, self.log).wait() != 0
        if failed and b"is finished" not in self.log.read_bytes().splitlines()[-1]:  # hit too late
            raise RuntimeError("the training could not go on")
        return done


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


def undisturbed(output: Path, processes: int, words: list[str]) -> tuple[Path, list[str]]:
    """The run to compare with, and its config: ``words``, and what several processes need."""
    parallel = [f"trainer.devices={processes}", "trainer.accelerator=cpu"]
    config = [*words, *(parallel if processes > 1 else [])]
    run = output / f"undisturbed{processes}"
    if not (run / "metrics.json").is_file():
        shutil.rmtree(run, ignore_errors=True)
        if start([*config, "--run-dir", str(run)], output / "log.txt").wait() != 0:
            raise RuntimeError(f"the undisturbed training failed: {output / 'log.txt'}")
    return run, config


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--signals", nargs="+", choices=SIGNALS, default=list(SIGNALS))
    parser.add_argument("--targets", nargs="+", choices=("one", "group"), default=["one", "group"])
    parser.add_argument("--data", type=Path, help="boxes of one's own (default: the quickstart's pictures)")
    parser.add_argument("--words", nargs="+", default=[], help="more overrides of the config")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--end-seconds", type=float, default=10.0, help="until all must have ended; more where others compute"
    )
    parser.add_argument("--output", type=Path, required=True, help="a folder; what is done there counts")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    own = ["--data", str(arguments.data), "--model", "ssdlite_v3_small", "model.weights=None"]
    words = [*(QUICKSTART if arguments.data is None else own), *CONFIG, *arguments.words]
    file = arguments.output / "results.json"
    results: dict[str, str] = json.loads(file.read_text()) if file.is_file() else {}
    for cell in itertools.product(arguments.processes, arguments.signals, arguments.targets):
        name = f"{cell[0]} {'process' if cell[0] == 1 else 'processes'}, {cell[1]}, {cell[2]}"
        if results.get(name, "").endswith("identical"):
            continue
        folder = arguments.output / "-".join(map(str, cell))
        shutil.rmtree(folder, ignore_errors=True)
        try:
            whole, config = undisturbed(arguments.output, cell[0], words)
            trial = Cell(folder, *cell, arguments.seed, arguments.end_seconds)
            count = trial.train(config, len(rows(whole)), arguments.kills)
            found = differences(whole, trial.run) or (["nothing was hit"] if count == 0 else [])
            results[name] = f"{count} signals, ended in {trial.slowest:.1f} s: {found or 'identical'}"
        except RuntimeError as error:
            results[name] = f"FAILED: {error} ({folder})"
        print(f"{name}: {results[name]}", flush=True)
        file.write_text(json.dumps(results, indent=2))
    return 0 if all(result.endswith("identical") for result in results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
