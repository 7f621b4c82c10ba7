"""SIGTERM and Ctrl-C end a training after its step, with a checkpoint, in all of its processes."""

from __future__ import annotations

import math
import os
import select
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from subprocess import Popen
from types import FrameType, TracebackType
from typing import Any, NoReturn

from pocketvision.core.errors import StopSignal

SIGNALS = (signal.SIGINT, signal.SIGTERM)
_LOOK_S = 0.2
_GRACE_S, _GRACE_STEPS = 5.0, 3.0
"""How long a process may take to end once it is told: seconds, and durations of its steps."""
_PARTNER_S, _IDLE_S = 2.0, 2.0
"""The same once another process of the training has died, and before the first step."""
_SAVE_S = 60.0
_REPEAT_S = 1.0
"""A second Ctrl-C after this time does not wait for the step; ``timeout`` sends its signal twice at once."""


class Stopping:
    """While it is entered, signals are requests to stop. While ``is_patient`` they wait for
    :attr:`number` to be looked at; else :class:`StopSignal` is raised at once.

    A process that waits for another in a library hears no Python: a thread ends it after some seconds,
    with ``last_words(number)`` as its sentence. So it does when a process of the training has died:
    ``partners()`` are those that this one has started.
    """

    def __init__(self, last_words: Callable[[int], str]) -> None:
        self.last_words = last_words
        self.partners: Callable[[], Sequence[Popen[Any]]] = tuple
        self.number = 0
        """The signal that was received."""
        self.is_patient = False
        self.is_joint = False
        """Whether all processes of the training stop together."""
        self.step_seconds = 0.0
        self._received_at = self._deadline = math.inf
        self._more = 0.0
        self._is_main = threading.current_thread() is threading.main_thread()
        self._process = os.getpid()

    def __enter__(self) -> Stopping:
        if self._is_main:
            self._ears, voice = os.pipe()
            os.set_blocking(voice, False)
            self._voice, self._old_voice = voice, signal.set_wakeup_fd(voice, warn_on_full_buffer=False)
            self._old = {number: signal.getsignal(number) for number in SIGNALS}
            self._over = threading.Event()
            self._watch = threading.Thread(target=self._look, name="stopping", daemon=True)
            self.install()
            self._watch.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._is_main:
            self._over.set()
            self._watch.join()
            for number, handler in self._old.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(self._old_voice)
            os.close(self._voice)
            os.close(self._ears)

    def install(self) -> None:
        """Take the signals, again where a library has put its own handlers before this one's."""
        if self._is_main:
            for number in SIGNALS:
                signal.signal(number, self._hear)

    def stop(self, number: int) -> NoReturn:
        """Raise :class:`StopSignal` where every process of the training does."""
        self.is_joint = True
        self._raise(number)

    @contextmanager
    def saving(self) -> Iterator[None]:
        """A checkpoint is being written, which may take longer than a step."""
        self._more = _SAVE_S
        try:
            yield
        finally:
            self._more = 0.0

    def was_told(self, seconds: float) -> bool:
        """Whether a signal has come, or comes within ``seconds``."""
        self.is_patient, end = True, time.monotonic() + seconds
        while not self.number and time.monotonic() < end:
            time.sleep(0.05)
        self.is_patient = False
        return self.number != 0

    def partner_code(self, seconds: float = 0.0) -> int | None:
        """Exit code of a partner that failed, for which up to ``seconds`` are waited; None if none did."""
        end = time.monotonic() + seconds
        while True:
            codes = [partner.poll() for partner in self.partners()]
            failed = next((code for code in codes if code), None)
            if failed is not None or time.monotonic() >= end:
                return failed
            time.sleep(0.05)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:
            return  # forked from here a moment ago
        now = time.monotonic()
        is_insisting = number == signal.SIGINT and now - self._received_at > _REPEAT_S
        if self.number and not is_insisting:
            return
        self.number, self._received_at = number, now
        if not self.is_patient or is_insisting:
            self._raise(number)

    def _raise(self, number: int) -> NoReturn:
        """What is left to do must end soon."""
        self._extend(_GRACE_S)
        self.is_patient = False
        raise StopSignal(number)

    def _extend(self, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds

    def _look(self) -> None:
        """The thread: give the main thread time to end by itself, then end the process."""
        number = 0
        while not self._over.is_set():
            if select.select([self._ears], [], [], _LOOK_S)[0]:
                heard = [signum for signum in os.read(self._ears, 64) if signum in SIGNALS]
                if heard and not number:
                    number = heard[0]
                    steps = _GRACE_STEPS * self.step_seconds
                    self._extend(max(_GRACE_S, steps) if steps else _IDLE_S)
            elif self._deadline > time.monotonic() + _PARTNER_S and self.partner_code() is not None:
                self._extend(_PARTNER_S)
            if time.monotonic() > self._deadline + self._more:
                os.write(2, f"{self.last_words(number)}\n".encode())
                os._exit(128 + number if number else 1)


def describe_code(code: int) -> str:
    """What an exit code says."""
    return f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
