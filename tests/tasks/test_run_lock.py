"""Two processes never train into one folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pocketvision.core.errors import InputError
from pocketvision.tasks.run_lock import LOCK, only_process

HOLD = """
import os, sys, time; from pathlib import Path
from pocketvision.tasks.run_lock import only_process
with only_process(Path(sys.argv[1])):
    if os.fork() == 0:
        time.sleep(5)  # what a data worker is: it outlives its parent a little
        os._exit(0)
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_lock_is_held_while_its_process_lives_and_not_longer(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        sentence = rf"is being trained by process {other.pid} on"
        with pytest.raises(InputError, match=sentence), only_process(tmp_path):
            pass
        other.kill()
    with only_process(tmp_path):
        assert (tmp_path / LOCK).is_file()
    assert not (tmp_path / LOCK).exists()


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs.txt"
    theirs.write_text("precious")
    (tmp_path / LOCK).symlink_to(theirs)
    with pytest.raises(OSError), only_process(tmp_path):
        pass
    assert theirs.read_text() == "precious"
