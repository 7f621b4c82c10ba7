"""Work on many files in threads, with progress."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from pocketvision.core.progress import track

_BATCH, _PART = 4096, 64

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def map_in_threads(function: Callable[[_Item], _Result], items: Sequence[_Item], title: str) -> list[_Result]:
    """``[function(item) for item in items]`` by as many threads as there are cores."""
    threads = min(16, (os.cpu_count() or 1) + 1)
    with ThreadPoolExecutor(threads) as pool:
        # In batches: a pool takes all of its work at once, and a million futures are a gigabyte. In parts of
        # these, as handing over one item takes as long as looking at a small file.
        batches = (items[start : start + _BATCH] for start in range(0, len(items), _BATCH))
        parts = (_parts(batch, threads) for batch in batches)
        found = (part for batch in parts for part in pool.map(partial(_map, function), batch))
        return list(track((result for part in found for result in part), len(items), title, "files"))


def _parts(items: Sequence[_Item], threads: int) -> list[Sequence[_Item]]:
    size = max(1, min(_PART, len(items) // (4 * threads)))
    return [items[start : start + size] for start in range(0, len(items), size)]


def _map(function: Callable[[_Item], _Result], items: Sequence[_Item]) -> list[_Result]:
    return [function(item) for item in items]
