"""Some of many images, from the first to the last."""

from __future__ import annotations

import numpy as np


def spread(total: int, count: int) -> list[int]:
    """``count`` indices below ``total`` at even distances, or all of them."""
    return list(range(total)) if total <= count else [i * total // count for i in range(count)]


def first_to_last(total: int, count: int) -> list[int]:
    """``count`` indices below ``total`` at even distances with both ends, or all of them."""
    return list(range(total)) if total <= count else [i * (total - 1) // (count - 1) for i in range(count)]


def spread_at_random(total: int, count: int, seed: int = 0) -> list[int]:
    """One random index out of each of ``count`` equal stretches below ``total``, or all of them.

    Where images stand in a rhythm, as those of several cameras in turn, even distances meet one camera.
    """
    if total <= count:
        return list(range(total))
    edges = np.linspace(0, total, count + 1).round().astype(int)
    return [int(i) for i in np.random.default_rng(seed).integers(edges[:-1], edges[1:])]
