"""How far long work is: a bar in a terminal, a line in a notebook, one every ten seconds elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

from pocketvision.core.terminal import notebook, printable

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

SECONDS_BETWEEN_LINES = 10.0
SECONDS_BETWEEN_UPDATES = 0.5
"""Of the line in a notebook."""

_Item = TypeVar("_Item")


class Progress:
    """Title, how much is done, time left and rate; used as a context, or opened and closed.

    Args:
        title: what the work is.
        total: how much there is to do; None where nobody knows.
        unit: what is counted.
        rate_unit: the unit of the rate, ``factor`` of which are one of ``unit``; None: the same.
        done: how much was done before, in none of this time.
        digits: decimals of the counts.
        stream: where to write; None: stderr.

    Attributes:
        factor: may change on the way.
    """

    factor = 1.0

    def __init__(
        self,
        title: str,
        total: float | None,
        unit: str,
        *,
        rate_unit: str | None = None,
        done: float = 0.0,
        digits: int = 0,
        stream: TextIO | None = None,
    ) -> None:
        self.title, self.total, self.unit = title, total, unit
        self.rate_unit, self.digits, self.stream = rate_unit or unit, digits, stream or sys.stderr
        self.done = self.before = done
        self.start = self.last = time.perf_counter()
        self.note = ""
        self.bar: RichProgress | None = None
        self.display: Any = None
        """The output of a notebook that shows the line."""

    def open(self) -> Progress:
        """Begin to count the time, with a bar if there is a terminal."""
        self.start = self.last = time.perf_counter()
        if (place := notebook()) is not None:
            self.display = place.display(_plain(self.line()), raw=True, display_id=True)
        elif self.stream.isatty():
            self.bar = _bar(self.title, self.total, self.stream)
            self.bar.start()
        return self

    def close(self) -> None:
        """Remove the bar; a notebook keeps the last line."""
        if self.display is not None:
            self.display.update(_plain(self.line(self.note)), raw=True)
            self.display = None
        if self.bar is not None:
            self.bar.stop()
            self.bar = None

    def __enter__(self) -> Progress:
        return self.open()

    def __exit__(self, *_: object) -> None:
        self.close()

    def advance(self, count: float = 1.0, note: str = "") -> None:
        """``count`` more are done; ``note`` stands behind the numbers."""
        self.done += count
        self.note = note
        if self.display is not None:
            if time.perf_counter() - self.last >= SECONDS_BETWEEN_UPDATES:
                self.last = time.perf_counter()
                self.display.update(_plain(self.line(note)), raw=True)
        elif self.bar is not None:
            self.bar.update(self.bar.task_ids[0], completed=self.done, description=printable(self.line(note)))
        elif time.perf_counter() - self.last >= SECONDS_BETWEEN_LINES:
            self.last = time.perf_counter()
            self.say(self.line(note))

    def say(self, sentence: str) -> None:
        """Write a line of its own, above the bar if there is one."""
        sentence = printable(sentence)
        if self.bar is not None:
            self.bar.console.print(sentence, markup=False, highlight=False, soft_wrap=True)
        else:
            print(sentence, file=self.stream, flush=True)

    def line(self, note: str = "") -> str:
        """``predict: 10 of 40 images, 1:00 left, 0.5 images/s``."""
        came, seconds = self.done - self.before, max(time.perf_counter() - self.start, 1e-6)
        count, parts = f"{self.title}: {self.done:.{self.digits}f}", []
        if self.total is not None:
            count += f" of {self.total:.{self.digits}f}"
            if came > 0:
                parts.append(f"{clock_text(seconds / came * max(0.0, self.total - self.done))} left")
        rate = f"{came * self.factor / seconds:.1f} {self.rate_unit}/s"
        return ", ".join([f"{count} {self.unit}", *parts, rate, *([note] if note else [])])


def track(items: Iterable[_Item], total: int, title: str, unit: str) -> Iterator[_Item]:
    """Pass ``items`` on and show how many of ``total`` are done."""
    with Progress(title, total, unit) as progress:
        for item in items:
            yield item
            progress.advance()


def _plain(line: str) -> dict[str, str]:
    """A line as a notebook takes it."""
    return {"text/plain": printable(line)}


def _bar(title: str, total: float | None, stream: TextIO) -> RichProgress:
    """A bar that is gone when the work is done; rich is loaded only where somebody sees it."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    text = TextColumn("{task.description}", markup=False)
    bar = Progress(BarColumn(), text, console=Console(file=stream), transient=True)
    bar.add_task(title, total=total)
    return bar


def clock_text(seconds: float) -> str:
    """``41 s``, ``2:05`` or ``1:00:03``."""
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
