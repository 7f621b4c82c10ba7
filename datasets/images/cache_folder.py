"""Where what was computed once is kept between runs."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder(kind: str) -> Path:
    """``$POCKETVISION_CACHE/kind``, by default in ``~/.cache/pocketvision``; it may be deleted any time."""
    root = os.environ.get("POCKETVISION_CACHE") or "~/.cache/pocketvision"
    return Path(root).expanduser() / kind
