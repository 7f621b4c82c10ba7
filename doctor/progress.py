"""Work on many files in threads, with a progress bar in a terminal and plain lines in a log."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

SECONDS_BETWEEN_LINES = 10.0
_BATCH = 4096

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def map_in_threads(function: Callable[[_Item], _Result], items: Sequence[_Item], title: str) -> list[_Result]:
    """``[function(item) for item in items]`` by as many threads as there are cores."""
    threads = min(16, (os.cpu_count() or 1) + 1)
    with ThreadPoolExecutor(threads) as pool:
        # In batches: a pool takes all of its work at once, and a million futures are a gigabyte.
        batches = (items[start : start + _BATCH] for start in range(0, len(items), _BATCH))
        results = (result for batch in batches for result in pool.map(function, batch))
        return list(track(results, len(items), title))


def track(items: Iterator[_Item], total: int, title: str) -> Iterator[_Item]:
    """Pass ``items`` on and show on stderr how many of ``total`` are done."""
    if sys.stderr.isatty():
        yield from _bar(items, total, title)
        return
    start = last = time.perf_counter()
    for done, item in enumerate(items, start=1):
        yield item
        now = time.perf_counter()
        if now - last >= SECONDS_BETWEEN_LINES:
            last = now
            left = (now - start) / done * (total - done)
            print(f"{title}: {done}/{total}, {left:.0f} s left", file=sys.stderr, flush=True)


def _bar(items: Iterator[_Item], total: int, title: str) -> Iterator[_Item]:
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(title, total=total)
        for item in items:
            yield item
            progress.advance(task)
