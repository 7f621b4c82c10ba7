"""Candidates timed in turn, so that what else the machine does meets all of them alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

Clock = Callable[[], float]
"""time.perf_counter, or time.process_time with one thread where the machine is busy."""


def interleaved(
    candidates: Mapping[str, Callable[[], Any]], rounds: int, clock: Clock = time.perf_counter
) -> dict[str, float]:
    """Median milliseconds of each candidate over ``rounds`` rounds, after two rounds to warm up."""
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for number in range(rounds + 2):
        for name, run in candidates.items():
            start = clock()
            run()
            if number >= 2:
                times[name].append((clock() - start) * 1e3)
    return {name: statistics.median(values) for name, values in times.items()}


def table(title: str, medians: Mapping[str, float]) -> str:
    """A line a candidate: median and how much faster it is than the first."""
    first = next(iter(medians.values()))
    lines = [f"  {name:<34}{value:>9.1f} ms{first / value:>8.2f} x" for name, value in medians.items()]
    return "\n".join([title, *lines])
