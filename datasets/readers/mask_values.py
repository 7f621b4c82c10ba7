"""Which values masks have: what tells two-class masks of 0 and 255 from class ids."""

from __future__ import annotations

import numpy as np

from pocketvision.datasets.images.read import read_mask

_MOST = 200
"""Masks looked at, evenly spaced: more would make every start slow."""


def mask_values(mask_paths: list[str]) -> frozenset[int]:
    """Values in at most 200 of the masks.

    Raises:
        InputError: a mask can't be read.
    """
    return frozenset(value for path in _spaced(mask_paths) for value in _values(path))


def is_binary(mask_paths: list[str]) -> bool:
    """Whether 255 is a class: at most 200 masks have it, and no value but 0 beside it.

    Raises:
        InputError: a mask can't be read.
    """
    found = False
    for path in _spaced(mask_paths):
        values = _values(path)
        if not values <= {0, 255}:
            return False
        found |= 255 in values
    return found


def _values(path: str) -> set[int]:
    return set(np.flatnonzero(np.bincount(read_mask(path).ravel(), minlength=256)).tolist())


def _spaced(paths: list[str]) -> list[str]:
    positions = np.linspace(0, len(paths) - 1, min(len(paths), _MOST)).round().astype(int)
    return [paths[i] for i in positions.tolist()]
