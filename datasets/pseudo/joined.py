"""Labeled pictures and those with pseudo-labels as one split."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pocketvision.core.errors import InputError
from pocketvision.datasets.formats.coco import read_coco
from pocketvision.datasets.records.annotations import DetectionRecords

PSEUDO_SPLIT = "train"
"""Of the COCO data set that holds the pseudo-labels."""


def is_pseudo(records: DetectionRecords) -> npt.NDArray[np.bool_]:
    """(N,): which pictures have pseudo-labels; their ids are below 0."""
    return np.asarray(records.image_ids < 0)


def joined(labeled: DetectionRecords, folder: str | Path) -> DetectionRecords:
    """``labeled``, and behind it the pictures of the COCO data set ``folder`` with their pseudo-labels.

    Raises:
        InputError: there is no such data set, or labeled pictures have ids below 0.
    """
    if is_pseudo(labeled).any():
        raise InputError(f"{labeled.root} has image ids below 0: number its images from 1.")
    pseudo = read_coco(folder, PSEUDO_SPLIT).select(labeled.class_names)
    parts = labeled, pseudo
    difficult = [np.zeros(len(r.boxes), np.bool_) if r.difficult is None else r.difficult for r in parts]
    return replace(
        labeled,
        image_paths=[path for r in parts for path in r.image_paths],
        image_ids=np.concatenate((labeled.image_ids, -1 - np.arange(len(pseudo), dtype=np.int64))),
        sizes=np.concatenate([r.sizes for r in parts]),
        offsets=np.concatenate((labeled.offsets, labeled.offsets[-1] + pseudo.offsets[1:])),
        boxes=np.concatenate([r.boxes for r in parts]),
        labels=np.concatenate([r.labels for r in parts]),
        crowd=np.concatenate([r.crowd for r in parts]),
        areas=np.concatenate([r.areas for r in parts]),
        annotation_file=None,
        difficult=None if labeled.difficult is None else np.concatenate(difficult),
        rows=None,
    )
