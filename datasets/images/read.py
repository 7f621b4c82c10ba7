"""Image and mask files -> arrays as a person sees them, with errors that name the file."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from pocketvision.core.errors import InputError
from pocketvision.core.structures import Size
from pocketvision.datasets.images.array_files import beyond_pillow, stated_values
from pocketvision.datasets.images.colors import Array as Array
from pocketvision.datasets.images.colors import eight_bits, rgb_of
from pocketvision.datasets.images.header import (
    Header,
    cannot_open,
    file_header,
    fits_chunks,
    has_end,
    open_file,
    opened,
    read_header,
    why_unreadable,
)
from pocketvision.datasets.images.orientation import keeps_ends, orientation_of, turn_pixels

_REDUCED = {
    1: 0,
    2: cv2.IMREAD_REDUCED_GRAYSCALE_2,
    4: cv2.IMREAD_REDUCED_GRAYSCALE_4,
    8: cv2.IMREAD_REDUCED_GRAYSCALE_8,
}
_RGB = int(getattr(cv2, "IMREAD_COLOR_RGB", 0))
"""Since OpenCV 4.11; with older ones the channels are swapped afterwards."""


class Reading(NamedTuple):
    """Pixels of a whole picture at some resolution, and of what.

    ``pixels`` is (h, w, 3) or, of a mask, (h, w) uint8. They show ``covers`` (height, width) in pixels of
    the picture of ``size``: of one that was reduced, the last row and column reach beyond its end.
    """

    pixels: Array
    size: Size
    covers: Size


def read_image(path: str) -> Array:
    """An image file as a person sees it: (H, W, 3) uint8 RGB, upright by EXIF, transparency over white.

    Raises:
        InputError: the file is missing, truncated, too large or not an image.
    """
    return read_reduced(path).pixels


def read_reduced(path: str, scale: float = 1.0) -> Reading:
    """As :func:`read_image`; of a JPEG at least ``scale`` times the pixels along each side.

    It is decoded at a half, a quarter or an eighth, from fewer of its frequencies, which takes less time
    and has no aliasing.
    """
    data = read_bytes(path)
    header = read_header(data, path)
    factor = _factor(header, scale)
    pixels = _decode(data, path, header, factor)
    size = header.upright_size
    if factor == 1:
        size = pixels.shape[0], pixels.shape[1]
    return Reading(pixels, size, (pixels.shape[0] * factor, pixels.shape[1] * factor))


def decode_image(data: bytes, name: str) -> Array:
    """The bytes of an image file, as :func:`read_image` gives them; sentences about them say ``name``.

    Raises:
        InputError: they are truncated, too many or no image.
    """
    return _decode(data, name, read_header(data, name), 1)


def from_pillow(image: Image.Image, name: str = "The image") -> Array:
    """A Pillow image as :func:`read_image` gives its file.

    Raises:
        InputError: its file is truncated, or its values have no range that is known.
    """
    try:
        image.load()  # some versions of Pillow turn a TIFF meanwhile
    except Exception as error:  # Pillow's plugins raise whatever a broken file leads them to
        raise InputError(why_unreadable(b"", name, error)) from None
    return turn_pixels(rgb_of(image, name), orientation_of(image))


def read_mask(path: str) -> Array:
    """Decode a single-channel mask, such as a PNG with or without a palette: (H, W) uint8 values.

    Raises:
        InputError: the file is missing, unreadable, or has colors instead of class ids.
    """
    with opened(read_bytes(path), path) as mask:
        mask.load()
        mode, values, orientation = mask.mode, np.asarray(mask), orientation_of(mask)
    if mode not in ("L", "P", "1"):
        raise InputError(
            f"{path} is no mask: it has pixels of type {mode}, but a mask has one 8-bit channel with the "
            f"class ids; convert it to such a PNG."
        )
    return turn_pixels(values.astype(np.uint8), orientation)


def match_mask(mask: Array, image_path: str) -> Array:
    """A mask that was drawn for the stored picture, as its size says, turned as the picture is."""
    header = file_header(image_path)
    if header.upright_size == header.size or mask.shape != header.size:
        return mask
    return turn_pixels(mask, header.orientation)


def read_size(path: str) -> Size:
    """(height, width) of an image file as a person sees it, without decoding it.

    Raises:
        InputError: the file is missing or not an image.
    """
    return file_header(path).upright_size


def read_bytes(path: str | Path) -> bytes:
    """All of a file.

    Raises:
        InputError: it can't be opened.
    """
    try:
        with open_file(path) as file:
            return file.read()
    except OSError as error:
        raise cannot_open(str(path), error) from None


def _factor(header: Header, scale: float) -> int:
    if header.format != "JPEG":
        return 1
    return next(
        (
            factor
            for factor in (8, 4, 2)
            if factor * scale <= 1 and keeps_ends(header.size, header.orientation, factor)
        ),
        1,
    )


def _decode(data: bytes, name: str, header: Header, factor: int) -> Array:
    if header.is_plain:
        return turn_pixels(_decode_plain(data, name, factor), header.orientation)
    if (stated := beyond_pillow(data, name)) is not None:
        if stated.channels in (1, 3):
            gray_or_rgb = eight_bits(stated_values(data, name, stated), name)
            whole = np.repeat(gray_or_rgb, 3 // stated.channels, axis=2)
            return turn_pixels(np.ascontiguousarray(whole), header.orientation)
        raise InputError(
            f"{name} has {stated.channels} channels of {stated.bits} bits, and the model takes 8-bit RGB: "
            f"train with model.in_channels={stated.channels}, which train --data finds by itself."
        )
    with opened(data, name) as image:
        if factor > 1:
            image.draft(None, (max(1, image.width // factor), max(1, image.height // factor)))
        return from_pillow(image, name)


def _decode_plain(data: bytes, name: str, factor: int) -> Array:
    flags = (_RGB or cv2.IMREAD_COLOR) | _REDUCED[factor] | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), flags) if fits_chunks(data) else None
    except cv2.error:
        image = None
    if image is None:
        raise InputError(why_unreadable(data, name))
    if not has_end(data):
        # OpenCV fills the missing part of a truncated file with gray and says nothing.
        with opened(data, name) as whole:
            whole.load()
    return np.asarray(image if _RGB else cv2.cvtColor(image, cv2.COLOR_BGR2RGB), dtype=np.uint8)
