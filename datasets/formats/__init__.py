"""Every format of data sets: training, check-data, convert-data and show-data read what is listed here.

A new one is a module with a ``FORMAT`` and a line in ``FORMATS``.
"""

from __future__ import annotations

from pocketvision.datasets.formats import (
    cityscapes,
    coco,
    coco_masks,
    csv_boxes,
    image_folder,
    mask_folder,
    voc,
    voc_masks,
    yolo,
)
from pocketvision.datasets.formats.contract import DataFormat

FORMATS: tuple[DataFormat, ...] = (
    coco.FORMAT,
    voc.FORMAT,
    yolo.FORMAT,
    csv_boxes.FORMAT,
    coco_masks.FORMAT,
    voc_masks.FORMAT,
    cityscapes.FORMAT,
    mask_folder.FORMAT,
    image_folder.FORMAT,
)
"""In the order in which they are looked for and named."""


def format_named(name: str) -> DataFormat:
    """The format of this name.

    Raises:
        KeyError: there is none.
    """
    return {form.name: form for form in FORMATS}[name]
