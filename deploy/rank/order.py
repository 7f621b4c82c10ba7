"""Doubtful pictures first, each unlike those before it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pocketvision.datasets.images.likeness import groups_of


class RankedPlace(NamedTuple):
    """The number of a picture, and its doubt as a multiple of the average picture's.

    ``newness`` is how unlike those before it the picture was when it was chosen, from 0 to 1.
    """

    picture: int
    doubt: float
    newness: float


class Ranking(NamedTuple):
    """The chosen pictures in order, and how many are left out since a chosen or labeled one shows nearly
    the same."""

    places: list[RankedPlace]
    num_like: int


def order(
    doubt: npt.NDArray[np.float64],
    features: npt.NDArray[np.float32],
    thumbnails: npt.NDArray[np.uint8],
    count: int,
) -> Ranking:
    """Choose ``count`` of N pictures, one by one: the one whose doubt times newness is largest.

    ``features`` (N + M, D) and ``thumbnails`` (N + M, 16, 18) have M rows more, of pictures that are labeled.
    Newness is half the cosine distance to the nearest of the chosen and the labeled, in features that are
    standardized over all pictures. Of pictures that show nearly the same one is chosen, and none that shows
    what a labeled one does.
    """
    directions = _directions(features)
    known, directions = directions[len(doubt) :], directions[: len(doubt)]
    every = groups_of(thumbnails)[: len(features)]
    groups, known_groups = every[: len(doubt)], every[len(doubt) :]
    newness = np.ones(len(doubt))
    for direction in known:
        newness = np.minimum(newness, (1 - directions @ direction) / 2).clip(0)
    is_open = ~np.isin(groups, known_groups)
    num_open = int(is_open.sum())
    places: list[RankedPlace] = []
    while len(places) < count and is_open.any():
        # An epsilon each: of pictures without doubt the newest is next, and of equal ones the doubtful.
        worth = np.where(is_open, (doubt + 1e-9) * (newness + 1e-9), -1.0)
        best = int(worth.argmax())
        places.append(RankedPlace(best, float(doubt[best]), float(newness[best])))
        is_open[groups == groups[best]] = False
        newness = np.minimum(newness, (1 - directions @ directions[best]) / 2).clip(0)
    is_taken = np.isin(groups, [groups[place.picture] for place in places])
    return Ranking(places, len(doubt) - num_open + int(is_taken.sum()) - len(places))


def _directions(features: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Rows of length 1, each feature standardized over the pictures."""
    values = features.astype(np.float64)
    values = (values - values.mean(axis=0)) / (values.std(axis=0) + 1e-6)
    return np.asarray(values / np.linalg.norm(values, axis=1, keepdims=True).clip(1e-9))
