"""Which channels and bits the pictures have, against what training reads them as."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pocketvision.core.errors import InputError
from pocketvision.core.resize import RGB, PixelFormat
from pocketvision.datasets.images.survey import EIGHT_BIT_RGB, FoundPixels, look_at_pixels
from pocketvision.datasets.records.annotations import AnyRecords, ClassificationRecords
from pocketvision.doctor import kinds
from pocketvision.doctor.checks.classes import training_splits
from pocketvision.doctor.findings import Findings


def pixels_of(
    readings: Mapping[str, AnyRecords], stated: PixelFormat | None, root: Path, findings: Findings
) -> FoundPixels | None:
    """What training reads the pictures as: a config's ``stated``, else what ``train --data`` finds.

    Classifiers read RGB. None where ``train --data`` refuses the pictures, which becomes a finding.
    """
    if stated is not None:
        return FoundPixels(stated)
    trained = [readings[split] for split in training_splits(readings)]
    if any(isinstance(records, ClassificationRecords) for records in trained):
        return EIGHT_BIT_RGB
    try:
        return look_at_pixels([path for records in trained for path in records.image_paths])
    except InputError as error:
        findings.notes.add(kinds.NOT_READ, root, str(error))
        return None


def takes(pixels: PixelFormat, channels: int | None) -> bool:
    """Whether a picture of so many channels may be read as ``pixels``; None where the file does not say."""
    if channels is None or pixels == RGB or channels == pixels.channels:
        return True
    return {channels, pixels.channels} == {1, RGB.channels}  # repeated, or gray if its channels are equal
