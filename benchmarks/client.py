"""What a client costs where nothing else is: python benchmarks/client.py NAME_client ... --images FOLDER

For each folder a fresh environment with what its requirements.txt lists, made by uv; in it the size of all
packages, the time until the model is open, its peak memory and time an image, and how far its answers are
from ``Predictor``'s.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

MEGABYTE = 1e6
INSIDE = """
import json, sys, time
start = time.perf_counter()
from predict import Model, read_image
model = Model(threads=1)
opened = time.perf_counter() - start
answers, seconds = [], []
for path in sys.argv[1:]:
    start = time.perf_counter()
    found = model(path)
    seconds.append(time.perf_counter() - start)
    if hasattr(model, "segment"):
        found["labels"] = model.segment(read_image(path)).tobytes().hex()
    answers.append(found)
with open("/proc/self/status") as status:
    peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) / 1e3
assert "torch" not in sys.modules
median = sorted(seconds)[len(seconds) // 2] * 1e3
print(json.dumps({"opened": opened, "peak": peak, "ms": median, "answers": answers}))
"""


def install(folder: Path, environment: Path) -> float:
    """Megabytes of an environment with the client's packages."""
    quiet: dict[str, Any] = {"check": True, "stdout": subprocess.DEVNULL}
    subprocess.run(["uv", "venv", "--quiet", "--python", sys.executable, str(environment)], **quiet)
    python = environment / "bin" / "python"
    packages = ["-r", str(folder / "requirements.txt")]
    subprocess.run(["uv", "pip", "install", "--quiet", "--python", str(python), *packages], **quiet)
    files = (file for file in environment.rglob("*") if file.is_file() and not file.is_symlink())
    return sum(file.stat().st_size for file in files) / MEGABYTE


def ask(folder: Path, python: Path, images: list[str]) -> dict[str, Any]:
    """What the client says in its own environment; the second of two starts, as files are cached then."""
    without = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    command = [str(python), "-c", INSIDE, *images]
    for _ in range(2):
        done = subprocess.run(command, cwd=folder, env=without, capture_output=True, text=True, check=True)
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def same(folder: Path, answers: list[dict[str, Any]], images: list[str]) -> str:
    """Of what Predictor finds: boxes found again with IoU 0.99, score within 1e-3, or equal pixels."""
    from pocketvision import Predictor
    from pocketvision.deploy.formats import CLIENT_FORMATS

    model = next(file for file in folder.iterdir() if file.suffix in CLIENT_FORMATS)
    predictor, hits, total = Predictor.load(model, device="cpu"), 0, 0
    for path, found in zip(images, answers, strict=True):
        expected = predictor(path)
        if expected.label_map is not None:
            hits += int((bytes_of(found) == expected.label_map.ravel()).sum())
            total += expected.label_map.size
            continue
        rows = expected.to_dict()["detections"]
        total += len(rows)
        hits += sum(any(matches(row, other) for other in found["detections"]) for row in rows)
    return f"{hits} of {total}"


def bytes_of(found: dict[str, Any]) -> Any:
    return np.frombuffer(bytes.fromhex(found["labels"]), dtype=np.uint8)


def matches(one: dict[str, Any], other: dict[str, Any]) -> bool:
    (a, b), (c, d) = np.reshape(one["box"], (2, 2)), np.reshape(other["box"], (2, 2))
    both = np.prod(np.maximum(np.minimum(b, d) - np.maximum(a, c), 0))
    union = np.prod(b - a) + np.prod(d - c) - both
    is_near = abs(one["score"] - other["score"]) < 1e-3 and both >= 0.99 * union
    return bool(is_near and one["label"] == other["label"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--count", type=int, default=64)
    arguments = parser.parse_args()
    images = [str(path.resolve()) for path in sorted(arguments.images.glob("*.*"))[: arguments.count]]
    print("| client | packages MB | folder MB | opened s | peak MB | ms an image | as Predictor |")
    print("|---|---|---|---|---|---|---|")
    for folder in arguments.folders:
        with tempfile.TemporaryDirectory() as work:
            size = install(folder, Path(work) / "env")
            answer = ask(folder, Path(work) / "env" / "bin" / "python", images)
        own = sum(file.stat().st_size for file in folder.iterdir() if file.is_file()) / MEGABYTE
        numbers = (
            f"{size:.0f} | {own:.1f} | {answer['opened']:.2f} | {answer['peak']:.0f} | {answer['ms']:.0f}"
        )
        print(f"| {folder} | {numbers} | {same(folder, answer['answers'], images)} |", flush=True)


if __name__ == "__main__":
    main()
