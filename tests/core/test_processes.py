"""Processes end with their parent, keep running on others' signals, and say what they died of."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pocketvision.core.errors import StopSignal
from pocketvision.core.processes import describe_lost_process, sigterm_raises

WORKER = """
import os, sys, time
from pocketvision.core.processes import {function}
child = os.fork()
if child == 0:
    {function}()
    time.sleep(60)
print(child, flush=True)
time.sleep(60)
"""


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def within(seconds: float, condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()


@contextmanager
def family(function: str) -> Iterator[int]:
    """A process that was forked from another, which is killed at the end, and has called ``function``."""
    code = WORKER.format(function=function)
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        time.sleep(0.5)
        try:
            yield child
        finally:
            parent.kill()


@pytest.mark.parametrize("function", ["end_with_parent", "leave_signals_to_parent"])
def test_a_process_ends_with_its_parent(function: str) -> None:
    with family(function) as child:
        assert lives(child)
    assert within(5, lambda: not lives(child))


def test_signals_of_others_do_not_end_a_worker() -> None:
    with family("leave_signals_to_parent") as child:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
            os.kill(child, number)
        time.sleep(1)
        assert lives(child)
    assert within(5, lambda: not lives(child))


def test_a_parent_ends_its_worker_as_multiprocessing_does() -> None:
    code = (
        "import multiprocessing, time; from pocketvision.core.processes import leave_signals_to_parent\n"
        "def work():\n    leave_signals_to_parent()\n    time.sleep(60)\n"
        "context = multiprocessing.get_context('fork')\n"
        "process = context.Process(target=work, daemon=True); process.start(); time.sleep(1)\n"
        "process.terminate(); process.join(5); print(process.exitcode)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert done.stdout.strip() == "0", done.stderr


def test_sigterm_raises_and_is_as_before_afterwards() -> None:
    before = signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        with pytest.raises(StopSignal) as stop, sigterm_raises():
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
        assert stop.value.code == 143 and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)


def test_what_a_worker_died_of() -> None:
    full = "DataLoader worker (pid 7) exited unexpectedly with exit code 28. Details are lost"
    bus = "DataLoader worker (pid 7) is killed by signal: Bus error. It is possible that"
    for text in (full, bus):
        assert "no room in /dev/shm" in (describe_lost_process(RuntimeError(text)) or "")
    for text in ("DataLoader worker (pid 7) is killed by signal: Killed.", "exit code 28.", "Bus error"):
        assert describe_lost_process(RuntimeError(text)) is None


@pytest.mark.parametrize(("code", "is_quick"), [(0, False), (1, False), (143, True)])
def test_a_stopped_process_leaves_without_clearing_up_memory(code: int, is_quick: bool) -> None:
    script = (
        "import atexit\nfrom pocketvision.core.processes import leave\n"
        "class Loud:\n    def __del__(self): print('freed', flush=True)\n"
        "kept = Loud()\natexit.register(print, 'registered')\n"
        f"leave({code})"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == code and not done.stderr
    assert done.stdout.split() == ["registered", *([] if is_quick else ["freed"])]
