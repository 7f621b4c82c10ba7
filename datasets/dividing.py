"""A training and a validation part of one split, with images that belong together on one side."""

from __future__ import annotations

from typing import get_args

import numpy as np

from pocketvision.core.errors import InputError
from pocketvision.datasets.images.clips import Grouping, clip_groups, named_groups
from pocketvision.datasets.images.likeness import like_groups
from pocketvision.datasets.records.splits import SplitRecords, divide


def divide_by(
    records: SplitRecords, how: Grouping = "clip", val_fraction: float = 0.2, seed: int = 0
) -> tuple[SplitRecords, SplitRecords]:
    """Training and validation part of ``records``, by :func:`divide`, with no group on both sides.

    A group is a ``clip`` (images that show nearly the same, with the frames numbered alike), a ``folder``, a
    ``prefix`` (files of a folder whose names differ in the last number alone) or a cluster by ``likeness``.
    With the last one groups are drawn as images are, whatever their size, as version 0.2 divided data.

    Raises:
        InputError: as :func:`divide`, no such grouping, or all images have one folder, or one prefix.
    """
    if how not in get_args(Grouping):
        raise InputError(f"There is no grouping '{how}': choose {', '.join(get_args(Grouping))}.")
    paths = records.image_paths
    if how == "folder" or how == "prefix":
        groups = named_groups(paths, how)
        if len(paths) > 1 and len(np.unique(groups)) < 2:
            what = "in one folder" if how == "folder" else "numbered files of one folder and prefix"
            raise InputError(
                f"{paths[0]} and all other images are {what}: divide them by clip or likeness instead."
            )
        return divide(records, val_fraction, seed, groups, near=True)
    alike = like_groups(paths)
    if how == "likeness":
        return divide(records, val_fraction, seed, alike)
    return divide(records, val_fraction, seed, clip_groups(paths, alike), near=True)
