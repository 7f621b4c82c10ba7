"""Which values masks have: what tells two-class masks of 0 and 255 from class ids."""

from __future__ import annotations

import numpy as np

from pocketvision.datasets.even_choice import first_to_last
from pocketvision.datasets.images.read import read_mask

_MOST = 200
"""Masks looked at, evenly spaced: more would make every start slow."""


def mask_values(mask_paths: list[str]) -> frozenset[int]:
    """Values in at most 200 of the masks.

    Raises:
        InputError: a mask can't be read.
    """
    looked_at = first_to_last(len(mask_paths), _MOST)
    return frozenset(value for i in looked_at for value in _values(mask_paths[i]))


def is_binary(mask_paths: list[str]) -> bool:
    """Whether 255 is a class: at most 200 masks have it, and no value but 0 beside it.

    Raises:
        InputError: a mask can't be read.
    """
    found = False
    for i in first_to_last(len(mask_paths), _MOST):
        values = _values(mask_paths[i])
        if not values <= {0, 255}:
            return False
        found |= 255 in values
    return found


def _values(path: str) -> set[int]:
    return set(np.flatnonzero(np.bincount(read_mask(path).ravel(), minlength=256)).tolist())
