"""Covers api/completion.py: what bash offers after TAB."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from pocketvision.__main__ import COMMANDS
from pocketvision.completion import completion
from pocketvision.core.errors import InputError


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not here")
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["ex"], ["export"]),
        (["export", "--int"], ["--int8"]),
        (["train", "quick"], ["quickstart", "quickstart_segmentation"]),
        (["train", "--res"], ["--resume"]),
        (["tune", "--find"], ["--find-lr"]),
        (["convert-data", "--divide"], ["--divide-by"]),
        (["doctor", "quick"], []),
        (["nothing", "--"], []),
    ],
)
def test_bash_completes(words: list[str], offered: list[str]) -> None:
    script = completion("bash", COMMANDS)
    line = " ".join(["pocketvision", *words])
    ask = f"COMP_WORDS=({line}); COMP_CWORD={len(words)}; _pocketvision; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    done = subprocess.run(["bash", "-c", f"{script}\n{ask}"], capture_output=True, text=True, check=True)
    assert done.stdout.split() == offered, done.stderr


def test_zsh_reads_it_as_bash_does_and_others_are_refused() -> None:
    assert completion("zsh", ["doctor"]).startswith("autoload -U +X bashcompinit")
    with pytest.raises(InputError, match="no completion for fish: give bash or zsh"):
        completion("fish", COMMANDS)
