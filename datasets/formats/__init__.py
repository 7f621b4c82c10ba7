"""Every format of data sets: training, check-data, convert-data and show-data read what is listed here.

A new one is a module with a ``FORMAT`` and a line in ``FORMATS``.
"""

from __future__ import annotations

from pocketvision.datasets.formats import (
    cityscapes,
    coco,
    coco_masks,
    csv_boxes,
    cvat,
    image_folder,
    label_studio,
    labelme,
    mask_folder,
    via,
    voc,
    voc_masks,
    yolo,
    yolo_masks,
)
from pocketvision.datasets.formats.contract import DataFormat

FORMATS: tuple[DataFormat, ...] = (
    coco.FORMAT,
    voc.FORMAT,
    yolo.FORMAT,
    csv_boxes.FORMAT,
    labelme.FORMAT,
    via.FORMAT,
    label_studio.FORMAT,
    cvat.FORMAT,
    coco_masks.FORMAT,
    voc_masks.FORMAT,
    cityscapes.FORMAT,
    labelme.MASKS,
    via.MASKS,
    label_studio.MASKS,
    cvat.MASKS,
    yolo_masks.FORMAT,
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
