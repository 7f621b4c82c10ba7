"""Which classes each image holds, and how often training draws it for the rare ones among them."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pocketvision.datasets.images.cache_folder import kept_array
from pocketvision.datasets.images.read import read_mask
from pocketvision.datasets.records.annotations import AnyRecords, DetectionRecords, SegmentationRecords
from pocketvision.datasets.sampling import Factors

Presence = npt.NDArray[np.bool_]
_THREADS = 8
_VERSION = 1


def check_threshold(threshold: float | None) -> None:
    """Refuse what is no share of images.

    Raises:
        ValueError: ``threshold`` is neither None nor above 0, up to 1.
    """
    if threshold is not None and not (isinstance(threshold, int | float) and 0 < threshold <= 1):
        raise ValueError(
            f"data.repeat_threshold is {threshold!r}: give the share of images below which a class is rare, "
            "above 0 and up to 1, such as 0.1."
        )


def class_presence(records: AnyRecords) -> Presence:
    """(N, K): whether image n holds class k, as a box that is no crowd, in a pixel, or as its own class.

    Masks are read for it once; what they hold is kept in the cache folder.

    Raises:
        InputError: a mask can't be read.
    """
    presence = np.zeros((len(records), len(records.class_names)), dtype=np.bool_)
    if isinstance(records, SegmentationRecords):
        classes = records.lookup[:, None] == np.arange(len(records.class_names))
        rows = {path: row for row, path in enumerate(dict.fromkeys(records.mask_paths))}
        own = [rows[path] for path in records.mask_paths]  # tiles share the mask of their picture
        return np.asarray((_values(list(rows)) @ classes)[own], dtype=np.bool_)
    if isinstance(records, DetectionRecords):
        trained = ~np.asarray(records.crowd)
        presence[records.owners()[trained], np.asarray(records.labels)[trained]] = True
    else:
        presence[np.arange(len(records)), records.labels] = True
    return presence


def repeat_factors(presence: Presence, threshold: float) -> Factors:
    """Factors (N,) of images that hold the classes ``presence`` (N, K) (arXiv:1908.03195, sec. 4.2).

    A class in the share f of the images has max(1, sqrt(threshold / f)), an image the largest of its classes.
    """
    shares = presence.mean(axis=0)
    of_class = np.sqrt(np.maximum(1.0, threshold / np.maximum(shares, 1e-12)))
    factors: Factors = np.where(presence, of_class, 1.0).max(axis=1, initial=1.0)
    return factors


def drawing_factors(
    records: AnyRecords, threshold: float | None, empty_share: float | None = None
) -> Factors | None:
    """How often an epoch draws each sample of ``records``; None for each once.

    Of tiles, for which ``empty_share`` is stated, those without boxes make up at most that share of an epoch,
    drawn anew for each, and the others are those among which a class is rare or not.
    """
    if not len(records) or (threshold is None and empty_share is None):
        return None
    is_full: npt.NDArray[np.bool_] = np.ones(len(records), dtype=np.bool_)
    if empty_share is not None and isinstance(records, DetectionRecords):
        is_full = np.asarray(class_presence(records).any(axis=1))
    factors = np.ones(len(records))
    if threshold is not None:
        factors[is_full] = repeat_factors(class_presence(records)[is_full], threshold)
    num_empty = len(records) - int(is_full.sum())
    if empty_share is not None and num_empty and is_full.any():
        factors[~is_full] = min(1.0, empty_share / (1 - empty_share) * factors[is_full].sum() / num_empty)
    return factors


def _values(paths: Sequence[str]) -> Presence:
    """(N, 256): which values each mask holds."""
    try:
        state = [(path, (s := Path(path).stat()).st_mtime_ns, s.st_size) for path in paths]
    except OSError:
        return _read_values(paths)  # reading says which file is missing
    shape = len(paths), 256
    return kept_array("mask_values", (_VERSION, state), shape, lambda: _read_values(paths))


def _read_values(paths: Sequence[str]) -> Presence:
    with ThreadPoolExecutor(_THREADS) as pool:
        return np.stack(list(pool.map(_values_of, paths)) or [np.zeros(256, np.bool_)])[: len(paths)]


def _values_of(path: str) -> Presence:
    return np.bincount(read_mask(path).ravel(), minlength=256)[:256] > 0
