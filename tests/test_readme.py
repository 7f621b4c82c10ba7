"""Every command of the README but the test command runs, shortened as the README itself says."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pocketvision.core.errors import InputError
from pocketvision.deploy.export.onnxruntime_web import onnxruntime_web_files

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
TEST_COMMAND = "uv run pytest"
RunPython = Callable[[list[str], Path], "subprocess.CompletedProcess[str]"]
SHORT = "trainer.max_epochs=1 trainer.limit_train_batches=2"


def shell_commands() -> list[str]:
    """Indented lines of the README that are commands, in order."""
    lines = [line.strip() for line in re.findall(r"^    (.+)$", README, flags=re.MULTILINE)]
    return [line for line in lines if re.match(r"(pip|uv|python3?|pocketvision) ", line)]


def test_the_test_command_is_the_one_that_ci_calls() -> None:
    assert any(TEST_COMMAND in command for command in shell_commands())
    assert TEST_COMMAND in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert SHORT in README


def test_every_command_runs(tmp_path: Path, tiny: Callable[[str], Path], run_python: RunPython) -> None:
    """In order and in one folder, as somebody who follows the README would."""
    for folder in ("tools", "configs"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mine").symlink_to(tiny("coco"))
    (tmp_path / "data" / "masks").symlink_to(tiny("masks"))
    left_out: list[str] = []
    for command in shell_commands():
        command = command.removeprefix("pip install uv && ")
        if command == TEST_COMMAND:
            continue
        words = shlex.split(re.sub(r"^uv run (--extra \w+ )?", "", command))
        if "--web" in words and not has_onnxruntime_web():
            left_out.append(command)
            continue
        words = [*(["-m"] if words[0] == "pocketvision" else []), *words]
        if any("train" in word for word in words[:3]) and "--print-config" not in words:
            words += [*SHORT.split(), "data.num_workers=0"]
        done = run_python(words, tmp_path)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    if left_out:
        pytest.skip(f"all ran but {left_out}: onnxruntime-web can't be fetched here")


def has_onnxruntime_web() -> bool:
    try:
        return bool(onnxruntime_web_files(None))
    except InputError:
        return False


def test_every_python_block_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.+?)```", README, flags=re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})
