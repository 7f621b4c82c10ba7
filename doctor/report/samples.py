"""A few images of a data set for people to look at, evenly chosen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pocketvision.datasets.even_choice import spread
from pocketvision.doctor.checks.boxes import CleanBoxes
from pocketvision.doctor.checks.images import ImageFacts
from pocketvision.doctor.checks.masks import MaskFacts
from pocketvision.doctor.raw.stated import RawDetection, RawPair
from pocketvision.doctor.report.examination import SampleImage

NUM_SAMPLES = 9


def detection_samples(
    data: RawDetection, boxes: CleanBoxes, facts: dict[str, ImageFacts]
) -> list[SampleImage]:
    """Images that can be read, with the boxes that can be used."""
    readable = [i for i, image in enumerate(data.images) if _is_readable(facts.get(str(image.path)))]
    owners = np.array(data.boxes.owners, dtype=np.int64)
    samples = []
    for i in (readable[k] for k in spread(len(readable), NUM_SAMPLES)):
        rows = np.flatnonzero(boxes.keep & (owners == i)).tolist()
        found = tuple((float(a), float(b), float(c), float(d)) for a, b, c, d in boxes.boxes[rows].tolist())
        labels = tuple(int(data.boxes.labels[row]) for row in rows)
        samples.append(SampleImage(str(data.images[i].path), found, labels, tuple(data.class_names)))
    return samples


def mask_samples(
    pairs: Sequence[RawPair], masks: Sequence[MaskFacts], facts: dict[str, ImageFacts]
) -> list[SampleImage]:
    """Images that can be read, with their masks."""
    good = [
        pair
        for pair, mask in zip(pairs, masks, strict=True)
        if mask.counts is not None and _is_readable(facts.get(str(pair.image)))
    ]
    chosen = (good[i] for i in spread(len(good), NUM_SAMPLES))
    return [SampleImage(str(pair.image), mask=str(pair.mask)) for pair in chosen]


def _is_readable(facts: ImageFacts | None) -> bool:
    return facts is not None and not facts.problem
