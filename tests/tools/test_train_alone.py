"""Covers tools/train.py: training calls nobody, and what it loads runs no code."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pocketvision.core.command import find_config
from pocketvision.models import VisionModel
from pocketvision.runs.build import build
from pocketvision.runs.folder import load_experiment
from pocketvision.tools.train import main as train

pytestmark = pytest.mark.slow

WATCH = """
import os, sys

LOG = os.environ["WATCH_LOG"]
CALLS = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "urllib.Request")
KNOWN = ("git", "ldconfig")  # the commit of the source tree; where torch's libraries lie
STARTS = ("os.system", "os.exec", "os.posix_spawn", "os.spawn", "pty.spawn", "pickle.find_class")


def watch(event, arguments):
    if event == "os.posix_spawn" and os.path.basename(str(arguments[0])) in KNOWN:
        return  # how Python 3.14 starts them
    if event in CALLS or event in STARTS:
        note = f"{event} {arguments}"
    elif event == "subprocess.Popen" and os.path.basename(str(arguments[1][0])) not in KNOWN:
        note = f"{event} {arguments[1]}"
    else:
        return
    with open(LOG, "a") as file:
        file.write(note + "\\\\n")


sys.addaudithook(watch)
"""
DRIVE = """
import os, sys
from pocketvision.tools.train import main
run, data, weights = sys.argv[1:]
small = ["data.batch_size=2", "data.num_workers=0", "model.image_size=(64,64)", "trainer.max_steps=2"]
quick = ["quickstart", "data.num_train=8", "data.num_val=2", *small]
assert main([*quick, "--run-dir", run]) == 0
os.remove(os.path.join(run, "metrics.json"))
assert main(["--resume", run]) == 0
assert main([*quick, "--from", run, "--run-dir", run + "2"]) == 0
assert main([*quick, "--from", weights, "--run-dir", run + "3"]) == 0
assert main(["--data", data, "--print-config", *small[:3]]) == 0
"""


class Evil:
    """What runs a command when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.system, (f"touch {self.file}",)


def quickstart() -> VisionModel:
    words = ["model.image_size=(64,64)", "data.num_train=8"]
    return build(load_experiment(find_config("quickstart"), words)[0], pretrained=False)[0]


def test_nobody_is_called_and_nothing_is_started(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(WATCH.replace("\\\\n", "\\n"))
    log, weights = tmp_path / "log.txt", tmp_path / "weights.pth"
    torch.save(quickstart().state_dict(), weights)
    paths = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", DRIVE, str(tmp_path / "run"), str(tiny("coco")), str(weights)],
        env={**os.environ, "PYTHONPATH": paths, "WATCH_LOG": str(log)},
        capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert not log.exists(), log.read_text()


def test_the_watch_sees(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(WATCH.replace("\\\\n", "\\n"))
    code = (
        "import pickle, socket, subprocess, os; subprocess.run(['true']); os.system('true')\n"
        "pickle.loads(b'cos\\nsystem\\n.')\n"
        "s = socket.socket(); s.settimeout(.1)\ntry: s.connect(('127.0.0.1', 9))\nexcept OSError: pass"
    )
    paths = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": paths, "WATCH_LOG": str(tmp_path / "log.txt")}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=60)
    seen = (tmp_path / "log.txt").read_text()
    assert all(word in seen for word in ("subprocess.Popen", "os.system", "find_class", "socket.connect"))


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, traces = tmp_path / "run", tmp_path / "traces"
    small = ["quickstart", "data.num_train=8", "data.num_val=2", "data.batch_size=2", "data.num_workers=0"]
    assert train([*small, "model.image_size=(64,64)", "trainer.max_steps=1", "--run-dir", str(run)]) == 0
    (run / "metrics.json").unlink()
    last = run / "checkpoints" / "last.ckpt"
    with zipfile.ZipFile(last) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(last, "w") as archive:
        for name, content in parts.items():
            archive.writestr(
                name, pickle.dumps(Evil(traces), protocol=2) if name.endswith("data.pkl") else content
            )
    assert train(["--resume", str(run)]) == 1
    assert "is no checkpoint of a training" in capsys.readouterr().err
    assert not traces.exists()
