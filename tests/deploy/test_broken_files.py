"""Covers deploy/runtimes/opening.py, deploy/predict/predictor.py.

Files with flipped, cut, moved and repeated bytes: a prediction or one sentence, whatever opens them. Exported
files, weights, pictures and run folders are opened by another process, so that a crash is seen.
``POCKETVISION_FUZZ=5000`` tries as many files.
"""

from __future__ import annotations

import json
import os
import queue
import random
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from pocketvision.models import VisionModel
from pocketvision.tools.train import main as train

Exported = Callable[..., Path]
COUNT = int(os.environ.get("POCKETVISION_FUZZ", "60"))
SECONDS, GIB = 20, 4
"""What a file may take."""
TEXTS = (b"0", b"-1", b"1e999", b"null", b"nan", b'"', b"[" * 2000, b"7" * 5000, b"../../x", b"\xff\x00")
RUN = ["quickstart", "data.num_train=8", "data.num_val=2", "data.batch_size=2", "model.image_size=(96,96)",
       "data.num_workers=0", "trainer.max_epochs=1"]  # fmt: skip

OPENER = """
import json, resource, sys, traceback
from pocketvision.core.errors import InputError
from pocketvision.deploy.predict.predictor import Predictor
answers = open(int(sys.argv[1]), "w")
for line in sys.stdin:
    source, picture = json.loads(line)
    try:
        Predictor.load(source, threads=1)(picture)
        said = ""
    except InputError as error:
        said = str(error) if "\\n" in str(error) or len(str(error)) > 2000 else ""
    except BaseException:
        said = traceback.format_exc()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps([said, peak]), file=answers, flush=True)
"""


class Opener:
    """A process that opens one file after the other."""

    def __init__(self) -> None:
        reading, writing = os.pipe()
        self.process = subprocess.Popen(
            [sys.executable, "-c", OPENER, str(writing)], pass_fds=[writing], stdin=subprocess.PIPE,
            text=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        os.close(writing)
        self._answers: queue.Queue[str] = queue.Queue()
        self._thread = threading.Thread(target=self._listen, args=(reading,))
        self._thread.start()

    def _listen(self, reading: int) -> None:
        with os.fdopen(reading) as stream:
            for line in stream:
                self._answers.put(line)
        self._answers.put("")

    def ask(self, source: Path, picture: Path, seconds: float = SECONDS) -> str:
        """What is wrong with how the files were opened; empty if nothing is."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([str(source), str(picture)]) + "\n")
        self.process.stdin.flush()
        try:
            answer = self._answers.get(timeout=seconds)
        except queue.Empty:
            return f"no answer after {seconds} s"
        if not answer:
            return f"the process ended with {self.process.wait()}"
        said, peak = json.loads(answer)
        return str(said) or (f"took {peak:.1f} GiB" if peak > GIB else "")

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()
        self._thread.join()


def damaged(data: bytes, rng: random.Random) -> bytes:
    """The bytes with one to three faults, half of them near the beginning, where formats say what follows."""
    for _ in range(rng.randint(1, 3)):
        size = len(data)
        start = rng.randrange(min(size, 2000) if rng.random() < 0.5 else size) if size else 0
        end = min(size, start + rng.choice((1, 4, 64, 4096)))
        part = data[start:end]
        fault = rng.choice(("flip", "cut", "zeros", "noise", "remove", "repeat", "move", "text"))
        if fault == "flip":
            part = bytes(byte ^ (1 << rng.randrange(8)) for byte in part[:1]) + part[1:]
        elif fault == "cut":
            end, part = size, b""
        elif fault == "zeros":
            part = bytes(len(part))
        elif fault == "noise":
            part = rng.randbytes(len(part))
        elif fault == "remove":
            part = b""
        elif fault == "repeat":
            part *= 2
        elif fault == "text":
            part = rng.choice(TEXTS)
        else:
            other = rng.randrange(size) if size else 0
            part = data[other : other + len(part)]
        data = data[:start] + part + data[end:]
    return data


@pytest.fixture(scope="module")
def originals(
    models: dict[str, VisionModel], exported: Exported, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Exported files, a run folder and pictures."""
    folder = tmp_path_factory.mktemp("whole")
    for form in ("onnx", "openvino", "pt2"):
        for task in ("detection", "segmentation") if form == "onnx" else ("detection",):
            file = exported(task, form)
            parts = [file, file.with_suffix(".bin")] if form == "openvino" else [file]
            for part in parts:
                shutil.copy(part, folder / f"{task}_{form}{part.suffix}")
    assert train([*RUN, "--run-dir", str(folder / "run")]) == 0
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    for suffix in (".jpg", ".png", ".webp", ".tif", ".bmp", ".gif"):
        assert cv2.imwrite(str(folder / f"picture{suffix}"), cv2.resize(pixels, (96, 64)))
    return folder


def sources(folder: Path) -> list[tuple[Path, Path, Path]]:
    """What is opened, the picture that it is shown, and the file of them that is damaged."""
    whole, picture = folder / "detection_onnx.onnx", folder / "picture.png"
    pictures = [(whole, path, path) for path in sorted(folder.glob("picture.*"))]
    models = [
        (path.with_suffix(".xml") if path.suffix == ".bin" else path, picture, path)
        for path in sorted(folder.iterdir())
        if path.is_file() and not path.name.startswith("picture")
    ]
    run, weights = folder / "run", folder / "run" / "weights.safetensors"
    parts = [(run, picture, run / "run.json"), (run, picture, weights), (weights, picture, weights)]
    assert len(models) == 5 and len(pictures) == 6
    return [*pictures, *models, *parts]


@pytest.mark.slow
def test_broken_files_are_a_sentence(originals: Path, tmp_path: Path) -> None:
    rng = random.Random(0)
    every = sources(originals)
    failures: list[str] = []
    place = tmp_path / "files"
    shutil.copytree(originals, place)
    moved = [[place / path.relative_to(originals) for path in case] for case in every]
    current = Opener()
    try:
        for source, picture, _ in moved:
            assert not current.ask(source, picture, seconds=120), "whole files are opened"
        for number in range(COUNT):
            source, picture, broken = moved[number % len(moved)]
            whole = (originals / broken.relative_to(place)).read_bytes()
            broken.write_bytes(damaged(whole, rng))
            said = current.ask(source, picture)
            if said:
                kept = tmp_path / f"{number}_{broken.name}"
                shutil.copy(broken, kept)
                failures.append(f"{kept}: {said}")
                current.close()
                current = Opener()
                current.ask(moved[0][0], moved[0][1], seconds=120)
            broken.write_bytes(whole)
    finally:
        current.close()
    assert not failures, "\n".join(failures)
