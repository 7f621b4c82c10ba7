"""A process that hears no Python is ended all the same."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from functools import partial

import pytest

from pocketvision.core.errors import StopSignal
from pocketvision.tasks.stopping import Stopping, describe_code

DEAF = """
import hashlib, subprocess, sys
from pocketvision.tasks import stopping
stopping._IDLE_S = stopping._PARTNER_S = 0.5
with stopping.Stopping(lambda number: f"last words {number}") as own:
    own.is_patient = True
    own.partners = lambda: partners
    partners = [subprocess.Popen([sys.executable, "-c", sys.argv[1]])]
    print("ready", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"a", b"b", 10**9)  # as a library that waits for another process
"""


@pytest.mark.parametrize(
    ("partner", "number", "code"),
    [("import time; time.sleep(9)", 15, 143), ("import time; time.sleep(9)", 2, 130), ("exit(3)", 0, 1)],
)
def test_a_process_that_waits_in_a_library_is_ended(partner: str, number: int, code: int) -> None:
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", DEAF, partner], stdout=pipe, stderr=pipe, text=True) as deaf:
        assert deaf.stdout is not None and deaf.stderr is not None
        assert deaf.stdout.readline() == "ready\n"
        if number:
            deaf.send_signal(number)
        assert deaf.wait(10) == code
        assert deaf.stderr.readline() == f"last words {number}\n"


def test_signals_wait_for_the_step_and_a_second_ctrl_c_does_not() -> None:
    with Stopping(str) as stopping:
        stopping.is_patient = True
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)  # at once: the same one, sent twice
        assert stopping.number == signal.SIGINT
        time.sleep(1.1)
        with pytest.raises(StopSignal):
            os.kill(os.getpid(), signal.SIGINT)
        assert not stopping.is_joint


def test_what_is_no_step_is_stopped_at_once() -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        with Stopping(str), pytest.raises(StopSignal) as stop:
            os.kill(os.getpid(), number)
        assert stop.value.code == 128 + number


def test_partners_that_fail_are_told_of() -> None:
    with Stopping(str) as stopping:
        for code, expected in (("", None), ("exit(3)", 3)):
            with subprocess.Popen([sys.executable, "-c", code]) as partner:
                partner.wait()
            stopping.partners = partial(tuple, [partner])
            assert stopping.partner_code(0.1) == expected
    assert describe_code(-9) == "was ended by signal 9" and describe_code(1) == "ended with exit code 1"
