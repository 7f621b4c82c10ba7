"""Work on many files in threads, with progress."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from pocketvision.core.progress import track

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
        return list(track(results, len(items), title, "files"))
