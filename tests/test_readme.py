"""Every command of the README and the guides runs, shortened as the README itself says.

Not run are the test command, those behind which ``# not run`` stands with the reason, and the pages whose
numbers they made.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from pocketvision.core.errors import InputError
from pocketvision.deploy.export.onnxruntime_web import onnxruntime_web_files
from pocketvision.deploy.predict.video import VideoFile

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
OWN_TESTS = ("label_loop", "own_detector", "own_parts", "phone_and_pi")
PAGES = {
    "README.md": README,
    **{
        path.name: path.read_text(encoding="utf-8")
        for path in (ROOT / "docs" / "tutorial.md", *sorted((ROOT / "docs" / "guides").glob("*.md")))
        if path.stem not in OWN_TESTS
    },
    "index.md": (ROOT / "docs" / "index.md").read_text(encoding="utf-8"),
}
PYTHON_PAGES = ("tutorial.md", "predict.md", "python.md")
"""Whose blocks need the runs that the commands make; of other guides they need a network or data."""
TEST_COMMAND = "uv run pytest"
RunPython = Callable[[list[str], Path], "subprocess.CompletedProcess[str]"]
SHORT = "trainer.max_epochs=1 trainer.limit_train_batches=2"


def shell_commands(text: str = README) -> list[str]:
    """Indented lines of a page that are commands, in order."""
    lines = [line.strip() for line in re.findall(r"^    (.+)$", text, flags=re.MULTILINE)]
    return [line for line in lines if re.match(r"(pip|uv|python3?|pocketvision|torchrun|docker) ", line)]


def all_commands() -> Iterator[tuple[str, str]]:
    """Page and command, each command once; without what is not run."""
    seen = {TEST_COMMAND}
    for page, text in PAGES.items():
        for command in shell_commands(text):
            command, _, note = command.removeprefix("pip install uv && ").partition("  # not run")
            assert not note or len(note) > 12, f"{page}: {command} is not run, and no reason is given"
            if not note and command not in seen:
                seen.add(command)
                yield page, command


def test_the_test_command_is_the_one_that_ci_calls() -> None:
    assert any(TEST_COMMAND in command for command in shell_commands())
    assert TEST_COMMAND in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert SHORT in README


@pytest.mark.slow
def test_every_command_runs(tmp_path: Path, tiny: Callable[[str], Path], run_python: RunPython) -> None:
    """In order and in one folder, as somebody who follows the README and then the guides would."""
    for folder in ("tools", "configs"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mine").symlink_to(tiny("coco"))
    (tmp_path / "data" / "masks").symlink_to(tiny("masks"))
    (tmp_path / "photos").symlink_to(tiny("coco") / "val")
    left_out: list[str] = []
    for page, command in all_commands():
        words = shlex.split(re.sub(r"^uv run (--extra \w+ )?", "", command))
        if "--web" in words and not has_onnxruntime_web():
            left_out.append(command)
            continue
        words = [*(["-m"] if words[0] == "pocketvision" else []), *words]
        if any("train" in word for word in words[:3]) and "--print-config" not in words:
            words += [*SHORT.split(), "data.num_workers=0"]
        done = run_python(words, tmp_path)
        assert done.returncode == 0, f"{page}: {command}\n{done.stdout}\n{done.stderr}"
    run_python_blocks(tmp_path, run_python)
    if left_out:
        pytest.skip(f"all ran but {left_out}: onnxruntime-web can't be fetched here")


def run_python_blocks(folder: Path, run_python: RunPython) -> None:
    """A page's blocks are one program, beside the runs that the commands have made."""
    for number in (1, 2):
        shutil.copy(folder / "photos" / f"{number}.jpg", folder / f"{number}.jpg")
    with VideoFile(folder, "clip", 10.0, (48, 72)) as video:
        for gray in (0, 100, 200):
            video.add(np.full((48, 72, 3), gray, np.uint8))
    for page in PYTHON_PAGES:
        blocks = re.findall(r"```python\n(.+?)```", PAGES[page], flags=re.DOTALL)
        assert blocks
        file = folder / f"{page}.py"
        file.write_text("\n".join(blocks), encoding="utf-8")
        done = run_python([str(file)], folder)
        assert done.returncode == 0, f"{page}\n{done.stdout}\n{done.stderr}"


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
