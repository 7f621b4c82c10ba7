"""Processes that work for another: they end with it and leave signals to it."""

from __future__ import annotations

import atexit
import errno
import multiprocessing
import multiprocessing.queues
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

from pocketvision.core.errors import StopSignal

_LOOK_S = 0.3
_SHARED_MEMORY = Path("/dev/shm")
_EXIT_CODE = f"exit code {errno.ENOSPC}."
"""As torch says what a loader's process ended with."""


def end_with_parent() -> None:
    """End this process as soon as the one that started it has ended, whatever it waits for."""
    parent = os.getppid()

    def watch() -> NoReturn:
        while os.getppid() == parent:
            time.sleep(_LOOK_S)
        os._exit(1)

    threading.Thread(target=watch, name="end-with-parent", daemon=True).start()


def leave_signals_to_parent() -> None:
    """In a process that works for another: only the other decides when it ends.

    SIGTERM and Ctrl-C reach the whole group. The parent may need what this process does to end in order;
    it ends with its parent, or when its parent says so. Where Python can't tell who sent a signal, as on a
    Mac, SIGTERM still ends it.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "sigtimedwait"):
        parent = multiprocessing.parent_process()
        starter = os.getppid()
        sender = parent.pid if parent is not None and parent.pid is not None else starter
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        watch = threading.Thread(target=_obey, args=(sender, starter), name="obey-parent", daemon=True)
        watch.start()


def _obey(sender: int, starter: int) -> NoReturn:
    while os.getppid() == starter:
        received = signal.sigtimedwait({signal.SIGTERM}, _LOOK_S)
        if received is not None and received.si_pid == sender:
            os._exit(0)
    os._exit(1)


def end_without_shared_memory() -> None:
    """In a process that loads data: end where shared memory is full.

    What could not be sent is lost otherwise, and the parent waits for it for ever.
    """

    def end(error: Exception, sent: object) -> NoReturn:
        os._exit(errno.ENOSPC if "shared memory" in str(error) else 1)

    multiprocessing.queues.Queue._on_queue_feeder_error = staticmethod(end)  # type: ignore[attr-defined]


def describe_lost_process(error: BaseException) -> str | None:
    """The sentence for a process that found shared memory full; None for other errors."""
    text = str(error)
    if "DataLoader worker" not in text or not ("Bus error" in text or _EXIT_CODE in text):
        return None
    size = shutil.disk_usage(_SHARED_MEMORY).total / 2**20 if _SHARED_MEMORY.is_dir() else 0.0
    return (
        f"Processes that load data have no room in {_SHARED_MEMORY} ({size:.3g} MiB): set "
        "data.num_workers=0, lower data.batch_size, or make it larger (docker run --shm-size=2g)."
    )


def leave(code: int) -> NoReturn:
    """End this process with ``code``; one that was told to stop, or works for one, at once.

    What was registered for the end is done, but Python doesn't free, module by module, what it has loaded:
    that takes seconds of a processor.
    """
    if code < 128 and not is_started_by_another():
        sys.exit(code)
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def is_started_by_another() -> bool:
    """Whether this is one of several processes of a training, and not the first."""
    return os.environ.get("LOCAL_RANK", "0") != "0"


@contextmanager
def sigterm_raises() -> Iterator[None]:
    """SIGTERM raises :class:`StopSignal` instead of ending the process with its temporary files left."""
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    process = os.getpid()

    def stop(number: int, frame: FrameType | None) -> None:
        if os.getpid() == process:  # not in one that was forked from it
            raise StopSignal(number)
        os._exit(128 + number)

    signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
