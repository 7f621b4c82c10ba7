"""How many loader processes a machine has room for."""

from __future__ import annotations

import os
from pathlib import Path

_QUOTA = Path("/sys/fs/cgroup/cpu.max")
_MAX_WORKERS = 8


def default_num_workers() -> int:
    """A process for every core but one, 8 at most; of several training processes each gets its share."""
    here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return max(1, min(_MAX_WORKERS, num_cores() // max(here, 1) - 1))


def num_cores() -> int:
    """Cores that this process may use: a container or a scheduler often gives fewer than there are."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = _QUOTA.read_text().split()
        return max(1, min(allowed, int(quota) // int(period)))
    except (OSError, ValueError):  # there is no quota, or it is "max"
        return allowed
