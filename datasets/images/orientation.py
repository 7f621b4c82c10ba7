"""EXIF's orientation: how a stored picture, its boxes and its masks are turned to what a person sees."""

from __future__ import annotations

from typing import Any, TypeVar

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from pocketvision.core.structures import Size

_TAG = 0x0112
_Floats = TypeVar("_Floats", npt.NDArray[np.float32], npt.NDArray[np.float64])
_Pixels = npt.NDArray[np.uint8]
_SIDEWAYS = (5, 6, 7, 8)
_MIRRORED_ACROSS, _MIRRORED_DOWN = (2, 3, 7, 8), (3, 4, 6, 7)
"""Orientations that reverse the stored columns, and those that reverse the stored rows."""


def orientation_of(image: Image.Image) -> int:
    """EXIF's orientation, 1 to 8, of an image that Pillow opened; 1 where there is none or a broken one."""
    try:
        value: Any = image.getexif().get(_TAG, 1)
    except Exception:  # broken EXIF is as good as none, and Pillow raises whatever it leads to
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def turned_size(size: Size, orientation: int) -> Size:
    """(height, width) as stored -> as a person sees it; the same function leads back."""
    return (size[1], size[0]) if orientation in _SIDEWAYS else size


def turn_pixels(pixels: _Pixels, orientation: int) -> _Pixels:
    """A stored picture (H, W, 3) or mask (H, W) uint8 -> upright."""
    if orientation in _SIDEWAYS:
        pixels = np.asarray(cv2.transpose(pixels), dtype=np.uint8)
    across, down = orientation in _MIRRORED_ACROSS, orientation in _MIRRORED_DOWN
    if orientation in _SIDEWAYS:
        across, down = down, across
    if not across and not down:
        return pixels
    return np.asarray(cv2.flip(pixels, -1 if across and down else int(across)), dtype=np.uint8)


def turn_values(values: npt.NDArray[Any], orientation: int) -> npt.NDArray[Any]:
    """As :func:`turn_pixels`, of numbers of any type and channels (H, W, C)."""
    if orientation in _SIDEWAYS:
        values = values.swapaxes(0, 1)
    across, down = orientation in _MIRRORED_ACROSS, orientation in _MIRRORED_DOWN
    if orientation in _SIDEWAYS:
        across, down = down, across
    return values[:: -1 if down else 1, :: -1 if across else 1]


def turn_boxes(boxes: _Floats, stored_size: Size, orientation: int) -> _Floats:
    """Boxes (G, 4) xyxy in a stored picture of (height, width) -> in the upright one."""
    height, width = stored_size
    left, top, right, bottom = boxes[:, 0], boxes[:, 1], boxes[:, 2], boxes[:, 3]
    if orientation in _MIRRORED_ACROSS:
        left, right = width - right, width - left
    if orientation in _MIRRORED_DOWN:
        top, bottom = height - bottom, height - top
    sides = (top, left, bottom, right) if orientation in _SIDEWAYS else (left, top, right, bottom)
    return np.stack(sides, axis=1)


def keeps_ends(stored_size: Size, orientation: int, factor: int) -> bool:
    """Whether a picture that is stored ``factor`` times smaller begins at a whole pixel once it is turned.

    A side that is no multiple of ``factor`` ends within a pixel of the smaller picture: that may be at the
    right and the bottom of what is seen, but not at the left and the top.
    """
    height, width = stored_size
    return not (orientation in _MIRRORED_ACROSS and width % factor) and not (
        orientation in _MIRRORED_DOWN and height % factor
    )
