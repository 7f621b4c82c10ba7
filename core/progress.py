"""Progress of long work with rate and time left, as lines of text."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

SECONDS_BETWEEN_LINES = 10.0


_Item = TypeVar("_Item")


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Ticker:
    """Says when the next line is due, and words rate and time left."""

    def __init__(self) -> None:
        self.start = self.last = time.perf_counter()

    def is_due(self) -> bool:
        if time.perf_counter() - self.last < SECONDS_BETWEEN_LINES:
            return False
        self.last = time.perf_counter()
        return True

    def describe(self, done: int, total: int, size: float, unit: str) -> str:
        seconds = time.perf_counter() - self.start
        left = seconds / done * (total - done)
        return f"{done}/{total}  {done * size / seconds:.1f} {unit}/s  {_clock(left)} left"


def progress(batches: Iterable[_Item], title: str) -> Iterator[_Item]:
    """Iterate over a sized loader of batches and print a line every ten seconds."""
    total, ticker = len(batches), Ticker()  # type: ignore[arg-type]
    for done, batch in enumerate(batches, start=1):
        yield batch
        if ticker.is_due():
            print(f"{title}: batch {ticker.describe(done, total, 1, 'batches')}", flush=True)
