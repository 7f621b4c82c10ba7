"""Boxes that were drawn on pictures as they are stored, turned to what a person sees."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pocketvision.core.errors import InputError
from pocketvision.datasets.images.header import Header, file_header
from pocketvision.datasets.images.orientation import turn_boxes

_MANY, _LOOKED_AT = 20_000, 2_000
"""Of more images than the first only the second are looked at, unless one of those is turned.

One that is missed is no wrong sample: its size differs from the stated one, which loading refuses.
"""


def turn_stored(
    image_paths: Sequence[str],
    sizes: npt.NDArray[np.int32],
    owners: npt.NDArray[np.int64],
    boxes: npt.NDArray[np.float64],
) -> list[int]:
    """Turn in place the sizes (N, 2) and boxes (B, 4) xyxy of images whose stated size is the stored one.

    A size that EXIF does not change tells nothing: labels of such images are taken to be drawn on what
    labeling tools show, which is upright. ``owners`` (B,) are the images of the boxes.

    Returns:
        The images that were turned.
    """
    num_images = len(image_paths)
    step = 1 if num_images <= _MANY else num_images // _LOOKED_AT
    found = _stored(image_paths, sizes, step)
    if found and step > 1:
        found = _stored(image_paths, sizes, 1)
    for index, header in found.items():
        own = owners == index
        boxes[own] = turn_boxes(boxes[own], header.size, header.orientation)
        sizes[index] = header.upright_size
    return list(found)


def _stored(image_paths: Sequence[str], sizes: npt.NDArray[np.int32], step: int) -> dict[int, Header]:
    found = {}
    for index in range(0, len(image_paths), step):
        try:
            header = file_header(image_paths[index])
        except InputError:
            continue  # loading says what is wrong with it
        if header.size != header.upright_size and tuple(sizes[index].tolist()) == header.size:
            found[index] = header
    return found
