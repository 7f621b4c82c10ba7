"""A few images of a data set for people to look at, evenly chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pocketvision.datasets.even_choice import spread
from pocketvision.datasets.records.annotations import DetectionRecords, SegmentationRecords
from pocketvision.doctor.checks.images import ImageFacts
from pocketvision.doctor.checks.masks import MaskFacts
from pocketvision.doctor.report.examination import SampleImage

NUM_SAMPLES = 9


def detection_samples(
    readings: Mapping[str, DetectionRecords], facts: Mapping[str, ImageFacts]
) -> list[SampleImage]:
    """Images that can be read, with the boxes that can be used."""
    places = [
        (records, i)
        for records in readings.values()
        for i, path in enumerate(records.image_paths)
        if _is_readable(facts.get(path))
    ]
    samples = []
    for records, i in (places[k] for k in spread(len(places), NUM_SAMPLES)):
        owned = records.boxes_of(i)
        boxes = tuple(
            (float(a), float(b), float(c), float(d)) for a, b, c, d in records.boxes[owned].tolist()
        )
        labels = tuple(int(label) for label in records.labels[owned])
        names = tuple(str(name) for name in records.class_names)
        samples.append(SampleImage(records.image_paths[i], boxes, labels, names))
    return samples


def mask_samples(
    readings: Mapping[str, SegmentationRecords],
    masks: Mapping[str, Sequence[MaskFacts]],
    facts: Mapping[str, ImageFacts],
) -> list[SampleImage]:
    """Images that can be read, with their masks."""
    good = [
        (image, path)
        for split, records in readings.items()
        for image, path, mask in zip(records.image_paths, records.mask_paths, masks[split], strict=True)
        if mask.counts is not None and _is_readable(facts.get(image))
    ]
    chosen = (good[i] for i in spread(len(good), NUM_SAMPLES))
    return [SampleImage(image, mask=path) for image, path in chosen]


def _is_readable(facts: ImageFacts | None) -> bool:
    return facts is not None and not facts.problem
