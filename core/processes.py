"""Processes that end with the one that started them, and that leave signals to it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from pocketvision.core.errors import StopSignal

_LOOK_S = 0.3


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
