"""Values of any depth and kind of pixel -> 8-bit RGB: the one rule, for whatever the picture came through.

- 16 bits: the upper 8, as OpenCV, Pillow and browsers take them from PNG files.
- Whole numbers of more bits and floats state no range: 0 to 255 stays as it is, floats up to 1 are
  multiplied by 255, and anything else is refused.
- Transparency: over white.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from pocketvision.core.errors import InputError

Array = npt.NDArray[np.uint8]

BACKGROUND = 255
"""What stands behind transparent pixels: white, as behind a picture on most pages."""

_STRIP = 1 << 20
"""Pixels that are composed at a time, so that large pictures need no large copies."""
_SIXTEEN_BIT_FORMATS = ("PNG", "PPM", "JPEG2000")
"""Whose pictures some versions of Pillow give as 32-bit numbers, though they have 16 bits."""
_REMEDY = "convert it to 8 bits a channel"


def rgb_of(image: Image.Image, name: str) -> Array:
    """The pixels of an image that Pillow opened, as stored: (H, W, 3) uint8 RGB.

    Raises:
        InputError: its values have no range that is known; the sentence begins with ``name``.
    """
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _from_deep(image, name)
    if image.mode == "La":
        image = image.convert("LA")
    if image.has_transparency_data:
        return compose(np.asarray(image.convert("RGBA")))
    return np.asarray(image.convert("RGB"))


def compose(pixels: Array) -> Array:
    """(H, W, 4) uint8 RGBA, whose colors are not multiplied by alpha -> (H, W, 3) over the background."""
    if pixels[..., 3].min() == BACKGROUND:
        return np.ascontiguousarray(pixels[..., :3])
    result = np.empty((*pixels.shape[:2], 3), dtype=np.uint8)
    rows = max(1, _STRIP // pixels.shape[1])
    for start in range(0, len(pixels), rows):
        part = pixels[start : start + rows].astype(np.uint16)
        color, alpha = part[..., :3], part[..., 3:]
        # At most 255 * 255 + 127: it fits 16 bits, and rounds to the nearest.
        result[start : start + rows] = (color * alpha + BACKGROUND * (255 - alpha) + 127) // 255
    return result


def eight_bits(values: npt.NDArray[Any], name: str) -> Array:
    """Values of any type as uint8.

    Raises:
        InputError: they have no range that is known; the sentence begins with ``name``.
    """
    low, high = values.min(), values.max()
    if values.dtype == np.uint8:
        return values
    if values.dtype.kind == "u" and values.dtype.itemsize == 2:
        if 0 < high <= 255:
            raise InputError(f"{name} has 16-bit values up to {high} only, which are black: {_REMEDY}.")
        return (values >> 8).astype(np.uint8)
    if values.dtype.kind == "f" and low >= 0 and high <= 1:
        return np.asarray(np.rint(values * 255.0), dtype=np.uint8)
    if low >= 0 and high <= 255:
        return np.asarray(np.rint(values), dtype=np.uint8)
    if values.dtype.kind == "f" and np.isnan(low):
        raise InputError(f"{name} has values that are no number (NaN): write a number in their place.")
    kind = "floating-point" if values.dtype.kind == "f" else f"{8 * values.dtype.itemsize}-bit"
    raise InputError(
        f"{name} has {kind} values from {low:g} to {high:g}, whose range no rule gives: {_REMEDY}."
    )


def _from_deep(image: Image.Image, name: str) -> Array:
    """One channel of 16 bits, 32 bits or floats."""
    values = np.asarray(image)
    if image.mode == "I" and image.format in _SIXTEEN_BIT_FORMATS:
        values = values.astype(np.uint16)
    gray = eight_bits(values, name)
    rgb = np.repeat(gray[..., None], 3, axis=2)
    seen_through = image.info.get("transparency")
    if isinstance(seen_through, int):
        rgb[values == seen_through] = BACKGROUND
    return rgb
