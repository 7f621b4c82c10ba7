"""What the values of masks mean: class ids, 0 and 255, or gray levels that are spread over both."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pocketvision.core.errors import InputError
from pocketvision.core.structures import IGNORE_INDEX
from pocketvision.datasets.even_choice import first_to_last
from pocketvision.datasets.images.read import read_mask
from pocketvision.datasets.records.annotations import UNEXPECTED, Mask

MaskCounts = npt.NDArray[np.int64]
"""(256,) pixels of each value."""

MOST, FEW = 200, 16
"""Masks looked at where much depends on it, and otherwise: more would make every start slow."""
_NEAR = 12
"""How far smeared values may lie from a level: JPEG and smooth edges leave few further away."""
_STRAY = 1e-3
_FEW_ENDS = 3
"""Different values just below 255, which no class ids have."""
_SHARE, _MAX_LEVELS, _MIN_BETWEEN = 0.97, 16, 8


class MaskMeaning(NamedTuple):
    """``lookup`` (256,) from values to classes; ``told`` is a clause about a guess, or empty."""

    num_classes: int
    lookup: Mask
    told: str = ""
    is_binary: bool = False


def count_values(mask_paths: Sequence[str], most: int = MOST) -> MaskCounts:
    """Pixels by value in at most ``most`` of the masks, evenly spaced; what can't be read is left out."""
    counts = np.zeros(256, dtype=np.int64)
    for i in first_to_last(len(mask_paths), most):
        try:
            counts += np.bincount(read_mask(mask_paths[i]).ravel(), minlength=256)
        except InputError:
            continue  # loading says what is wrong with it
    return counts


def meaning(
    counts: MaskCounts | None,
    num_classes: int | None,
    ignore_ids: Iterable[int] = (),
    binary: bool | None = None,
) -> MaskMeaning:
    """What values stand for, given how many classes there are, or None where nothing says so.

    ``binary`` says that 255 is class 1; None looks at the values. Without ``counts`` values are class ids.
    """
    ignored = {*ignore_ids, IGNORE_INDEX}
    direct = _direct(num_classes or 1, ignored)
    if binary:
        return MaskMeaning(2, _binary(direct), is_binary=True)
    if counts is None or binary is False:
        return MaskMeaning(num_classes or 1, direct)
    used = set(np.flatnonzero(counts).tolist())
    plain = used - ignored
    if num_classes in (None, 2) and _is_binary(counts, used):
        return MaskMeaning(2, _binary(_direct(2, ignored)), is_binary=True)
    known = num_classes if num_classes is not None else max(plain, default=0) + 1
    if num_classes is not None and plain <= set(range(num_classes)):
        return MaskMeaning(num_classes, direct)
    for count in _possible_levels(used, num_classes) if max(plain, default=0) >= _MAX_LEVELS else ():
        if count >= 2 and _share_near(counts, count) >= _SHARE:
            told = f"values from 0 to 255 are read as the nearest of {count} gray levels"
            return MaskMeaning(count, _nearest(count, set(ignore_ids)), told)
    return MaskMeaning(known, _direct(known, ignored))


def _is_binary(counts: MaskCounts, used: set[int]) -> bool:
    """Only 0 and 255, but for a few stray pixels between them, which are then no class.

    1 is a class id, and values near to 0 and 255 are smeared ones.
    """
    strays = used - {0, IGNORE_INDEX}
    few = counts[list(strays)].sum() <= _STRAY * counts.sum() and len(strays) < _MIN_BETWEEN
    are_between = all(_NEAR < value < IGNORE_INDEX - _NEAR for value in strays)
    return {0, IGNORE_INDEX} <= used and bool(few) and are_between


def _possible_levels(used: set[int], num_classes: int | None) -> list[int]:
    """How many gray levels there may be; smeared ones are told from ids by the many values between them."""
    if num_classes is not None:
        return [num_classes]
    are_between = len([value for value in used if 32 <= value < 224]) >= _MIN_BETWEEN
    are_between |= len([value for value in used if IGNORE_INDEX - _NEAR <= value < IGNORE_INDEX]) >= _FEW_ENDS
    are_at_ends = all(value <= 2 or value >= 253 for value in used)
    return [*([len(used)] if len(used) <= _MAX_LEVELS else []), *([2] if are_between or are_at_ends else [])]


def _direct(num_classes: int, ignored: set[int]) -> Mask:
    lookup = np.full(256, UNEXPECTED, dtype=np.uint8)
    lookup[:num_classes] = np.arange(num_classes)
    lookup[list(ignored)] = IGNORE_INDEX
    return lookup


def _binary(direct: Mask) -> Mask:
    lookup: Mask = direct.copy()
    lookup[IGNORE_INDEX] = 1
    return lookup


def _levels(count: int) -> npt.NDArray[np.float64]:
    return np.arange(count) * 255 / (count - 1)


def _share_near(counts: MaskCounts, count: int) -> float:
    """Share of the pixels that lie near one of ``count`` evenly spaced levels, if each has some."""
    distance = np.abs(np.arange(256)[:, None] - _levels(count)[None])
    near = distance.min(axis=1) <= min(_NEAR, 100 / count)
    nearest = distance.argmin(axis=1)
    if len(set(nearest[near & (counts > 0)].tolist())) < count:
        return 0.0
    return float(counts[near].sum() / max(1, counts.sum()))


def _nearest(count: int, ignored: set[int]) -> Mask:
    nearest = np.abs(np.arange(256)[:, None] - _levels(count)[None]).argmin(axis=1)
    lookup: Mask = nearest.astype(np.uint8)
    lookup[list(ignored)] = IGNORE_INDEX
    return lookup
