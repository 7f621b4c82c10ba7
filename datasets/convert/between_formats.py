"""One detection format -> another, whole data sets: what the command ``convert-data`` does."""

from __future__ import annotations

from pathlib import Path

from pocketvision.core.errors import InputError
from pocketvision.datasets.convert.common import DetectionWriter, convert
from pocketvision.datasets.dividing import divide_by
from pocketvision.datasets.formats import FORMATS
from pocketvision.datasets.formats.detect import FoundData
from pocketvision.datasets.images.clips import Grouping
from pocketvision.datasets.records.annotations import DetectionRecords

WRITERS: dict[str, DetectionWriter] = {form.name: form.write for form in FORMATS if form.write is not None}
"""Format -> what writes it."""


def convert_data(
    found: FoundData,
    to: str,
    output: Path,
    *,
    copy_images: bool = False,
    grouping: Grouping | None = None,
    val_fraction: float = 0.2,
) -> tuple[list[str], list[str]]:
    """Write all splits of ``found`` as format ``to`` into ``output``.

    With ``grouping`` the split that has no validation images is divided first, as training does.

    Returns:
        A line about each split, and a sentence for everything that the new format can't hold or that
        was wrong in the old one.

    Raises:
        InputError: the data are broken, ``output`` exists and is not empty, or the data are to be divided and
            have training and validation images.
    """
    if to not in WRITERS:
        raise InputError(f"There is no format '{to}' to write: choose {', '.join(WRITERS)}.")
    splits: dict[str, DetectionRecords] = {}
    for name in found.splits:
        records = found.read(name)
        assert isinstance(records, DetectionRecords)
        splits[name] = records
    if grouping is not None:
        whole = found.arguments.get("divide")
        if whole is None:
            raise InputError(f"{found.root} has training and validation images: leave --divide-by out.")
        parts = divide_by(splits.pop(whole), grouping, val_fraction)
        splits = {"train": parts[0], "val": parts[1], **splits}
    losses = convert(splits, WRITERS[to], output, copy_images=copy_images)
    notes = [f"{name}: {note}" for name, records in splits.items() for note in records.notes]
    return [f"{name}: {len(r)} images, {len(r.boxes)} boxes" for name, r in splits.items()], [*losses, *notes]
