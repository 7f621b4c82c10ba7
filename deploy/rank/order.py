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
    """The chosen pictures in order, and how many were left out as they show nearly what a chosen one does."""

    places: list[RankedPlace]
    num_like: int


def order(
    doubt: npt.NDArray[np.float64],
    features: npt.NDArray[np.float32],
    thumbnails: npt.NDArray[np.uint8],
    count: int,
) -> Ranking:
    """Choose ``count`` of N pictures, one by one: the one whose doubt times newness is largest.

    Newness is the cosine distance to the nearest of the chosen, in features (N, D) that are standardized over
    all pictures. Of pictures that show nearly the same one is chosen.
    """
    directions = _directions(features)
    groups = groups_of(thumbnails)[: len(doubt)]
    newness = np.ones(len(doubt))
    is_open = np.ones(len(doubt), np.bool_)
    places: list[RankedPlace] = []
    while len(places) < count and is_open.any():
        # An epsilon each: of pictures without doubt the newest is next, and of equal ones the doubtful.
        worth = np.where(is_open, (doubt + 1e-9) * (newness + 1e-9), -1.0)
        best = int(worth.argmax())
        places.append(RankedPlace(best, float(doubt[best]), float(newness[best])))
        is_open[groups == groups[best]] = False
        newness = np.minimum(newness, (1 - directions @ directions[best]) / 2).clip(0)
    is_like = np.isin(groups, groups[[place.picture for place in places]])
    return Ranking(places, int(is_like.sum()) - len(places))


def _directions(features: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Rows of length 1, each feature standardized over the pictures."""
    values = features.astype(np.float64)
    values = (values - values.mean(axis=0)) / (values.std(axis=0) + 1e-6)
    return np.asarray(values / np.linalg.norm(values, axis=1, keepdims=True).clip(1e-9))
