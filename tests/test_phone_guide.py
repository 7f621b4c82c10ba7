"""The guide "On a Raspberry Pi, on a phone": its commands and its program work."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

pytestmark = pytest.mark.slow

RunPython = Callable[[list[str], Path], "subprocess.CompletedProcess[str]"]
ROOT = Path(__file__).resolve().parent.parent
GUIDE = (ROOT / "docs" / "guides" / "phone_and_pi.md").read_text(encoding="utf-8")
NOT_HERE = ("--format litert",)
"""What needs a converter of 7 GB."""


def test_the_guide_s_commands_and_program_run(tmp_path: Path, run_python: RunPython) -> None:
    (tmp_path / "out").mkdir()
    shutil.copytree(ROOT / "tests" / "runs" / "version_0_1" / "quickstart", tmp_path / "out" / "mine")
    Image.new("RGB", (120, 90), "teal").save(tmp_path / "photo.jpg")
    lines = [
        line
        for line in re.findall(r"^    ((?:pocketvision|python) .*)$", GUIDE, flags=re.MULTILINE)
        if not any(part in line for part in NOT_HERE)
    ]
    assert len(lines) == 3
    for line in lines:
        words = shlex.split(line)
        words = ["-m", *words] if words[0] == "pocketvision" else words[1:]
        done = run_python(words, tmp_path)
        assert done.returncode == 0, f"{line}\n{done.stderr}"
    assert (tmp_path / "found.json").is_file() and (tmp_path / "mine_ios.onnx").is_file()
    (program,) = re.findall(r"```python\n(.+?)```", GUIDE, flags=re.DOTALL)
    shutil.copy(tmp_path / "photo.jpg", tmp_path / "mine_client")
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=tmp_path / "mine_client", capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
