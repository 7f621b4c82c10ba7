"""One detection format -> another, whole data sets: what the command ``convert-data`` does."""

from __future__ import annotations

from pathlib import Path

from pocketvision.core.errors import InputError
from pocketvision.datasets.convert.common import DetectionWriter, convert
from pocketvision.datasets.formats import FORMATS
from pocketvision.datasets.formats.detect import FoundData
from pocketvision.datasets.records.annotations import DetectionRecords

WRITERS: dict[str, DetectionWriter] = {form.name: form.write for form in FORMATS if form.write is not None}
"""Format -> what writes it."""


def convert_data(
    found: FoundData, to: str, output: Path, *, copy_images: bool = False
) -> tuple[list[str], list[str]]:
    """Write all splits of ``found`` as format ``to`` into ``output``.

    Returns:
        A line about each split, and a sentence for everything that the new format can't hold or that
        was wrong in the old one.

    Raises:
        InputError: the data are broken, or ``output`` exists and is not empty.
    """
    if to not in WRITERS:
        raise InputError(f"There is no format '{to}' to write: choose {', '.join(WRITERS)}.")
    splits: dict[str, DetectionRecords] = {}
    for name in found.splits:
        records = found.read(name)
        assert isinstance(records, DetectionRecords)
        splits[name] = records
    losses = convert(splits, WRITERS[to], output, copy_images=copy_images)
    notes = [f"{name}: {note}" for name, records in splits.items() for note in records.notes]
    return [f"{name}: {len(r)} images, {len(r.boxes)} boxes" for name, r in splits.items()], [*losses, *notes]
