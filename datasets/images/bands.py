"""Pictures of other channels than 8-bit RGB: a file's own numbers, and the rule that makes 8 bits of them.

- A file of the channels that the model takes is read as it is, RGBA with its alpha.
- A TIFF of several gray pages of one size has a channel a page.
- A gray file is repeated for RGB; RGB of three equal channels is gray. Anything else is refused.
- ``value_range`` becomes 0 to 255, rounded to the nearest. FileValues outside are refused, never clipped.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from pocketvision.core.errors import InputError
from pocketvision.core.resize import MAX_CHANNELS, RGB, PixelFormat
from pocketvision.datasets.images.array_files import StatedArray, beyond_pillow, stated_tiff, stated_values
from pocketvision.datasets.images.colors import Array, eight_bits
from pocketvision.datasets.images.header import opened, read_header
from pocketvision.datasets.images.orientation import orientation_of, turn_values
from pocketvision.datasets.images.read import Reading, decode_image, read_bytes, read_reduced

FileValues = npt.NDArray[Any]
"""(H, W, C) of a file's own type."""

_PNG, _COLOR_TYPES = b"\x89PNG", (2, 6)
_PLAIN_MODES = ("L", "RGB", "RGBA", "LA", "F", "I")
_MAX_BYTE = 255


def read_pixels(path: str, pixels: PixelFormat = RGB, scale: float = 1.0) -> Reading:
    """A picture file as a model of ``pixels`` takes it: (H, W, C) uint8.

    RGB is read as by :func:`~pocketvision.datasets.images.read.read_reduced`; of others all is decoded.

    Raises:
        InputError: the file can't be read, has other channels, or values outside the range.
    """
    if pixels == RGB:
        return read_reduced(path, scale)
    array = decode_pixels(read_bytes(path), path, pixels)
    size = array.shape[0], array.shape[1]
    return Reading(array, size, size)


def decode_pixels(data: bytes, name: str, pixels: PixelFormat = RGB) -> Array:
    """The bytes of a picture file, as :func:`read_pixels` reads them; sentences about them say ``name``."""
    if pixels == RGB:
        return decode_image(data, name)
    return as_pixels(read_values(data, name), pixels, name)


def as_pixels(values: FileValues, pixels: PixelFormat, name: str = "The image") -> Array:
    """Numbers (H, W) or (H, W, C) of any type -> (H, W, C) uint8 of the channels of ``pixels``.

    Raises:
        InputError: they have other channels, values outside the range, or none that is known.
    """
    fitting = _with_channels(values.reshape(*values.shape[:2], -1), pixels.channels, name)
    if pixels.value_range is None:
        return np.ascontiguousarray(eight_bits(fitting, name))
    low, high = pixels.value_range
    if fitting.dtype == np.uint8 and high > _MAX_BYTE:
        raise InputError(
            f"{name} has 8 bits a channel, and the model takes values from {low:g} to {high:g}: give "
            "pictures of the depth that it was trained with."
        )
    least, most = fitting.min(), fitting.max()
    if np.isnan(least):
        raise InputError(f"{name} has values that are no number (NaN): write a number in their place.")
    if not (least >= low and most <= high):
        raise InputError(
            f"{name} has values from {least:g} to {most:g}, and the model takes {low:g} to {high:g}: train "
            "with a model.value_range that holds them all."
        )
    shares = (fitting.astype(np.float32) - np.float32(low)) * np.float32(_MAX_BYTE / (high - low))
    return np.ascontiguousarray(np.rint(shares).astype(np.uint8))


def read_values(data: bytes, name: str) -> FileValues:
    """The numbers of a picture file (H, W, C), upright, with the file's own channels and type.

    Raises:
        InputError: it can't be read, or has more than 16 channels.
    """
    header = read_header(data, name)
    stated = beyond_pillow(data, name) or _of_four(data)
    if stated is not None:
        values = stated_values(data, name, stated)
    elif _is_deep_color(data):
        values = _by_opencv(data, name)
    else:
        with opened(data, name) as image:
            return values_of(image)
    return np.ascontiguousarray(turn_values(values, header.orientation))


def values_of(image: Image.Image) -> FileValues:
    """The numbers (H, W, C) of a picture that Pillow opened, upright; of gray TIFF pages of one size all."""
    orientation = orientation_of(image)
    frames = [_frame(image)]
    count = getattr(image, "n_frames", 1)
    if image.format == "TIFF" and 1 < count <= MAX_CHANNELS and frames[0].shape[2] == 1:
        for number in range(1, count):
            image.seek(number)
            frames.append(_frame(image))
        first = frames[0]
        if any(frame.shape != first.shape or frame.dtype != first.dtype for frame in frames):
            frames = frames[:1]
    return np.ascontiguousarray(turn_values(np.concatenate(frames, axis=2), orientation))


def _frame(image: Image.Image) -> FileValues:
    mode = image.mode
    if mode in _PLAIN_MODES or mode.startswith("I;16"):
        values = np.asarray(image)
        is_short = mode.startswith("I;16") or (mode == "I" and image.format in ("PNG", "PPM", "JPEG2000"))
        values = values.astype(np.uint16) if is_short else values
    elif mode == "1":
        values = np.asarray(image.convert("L"))
    else:
        values = np.asarray(image.convert("RGBA" if image.has_transparency_data else "RGB"))
    return values.reshape(*values.shape[:2], -1)


def _with_channels(values: FileValues, channels: int, name: str) -> FileValues:
    found = values.shape[2]
    if found == channels:
        return values
    if found == 1 and channels == RGB.channels:
        return np.repeat(values, channels, axis=2)
    is_gray = found == RGB.channels and (values == values[..., :1]).all()
    if is_gray and channels == 1:
        return values[..., :1]
    raise InputError(
        f"{name} has {_count(found)}, and the model takes {channels}: give pictures of the kind that it was "
        f"trained with, or train with model.in_channels={found}."
    )


def _count(channels: int) -> str:
    return "1 channel" if channels == 1 else f"{channels} channels"


def _of_four(data: bytes) -> StatedArray | None:
    """What a TIFF says whose fourth channel is no alpha, which Pillow leaves out."""
    stated = stated_tiff(data)
    return stated if stated is not None and stated.has_more else None


def _is_deep_color(data: bytes) -> bool:
    """Whether a PNG or TIFF has colors of 16 bits, of which Pillow gives 8."""
    if data.startswith(_PNG):
        return len(data) > 25 and data[24] > 8 and data[25] in _COLOR_TYPES
    tiff = stated_tiff(data)
    return tiff is not None and tiff.bits == 16 and tiff.channels in (3, 4)


def _by_opencv(data: bytes, name: str) -> FileValues:
    with opened(data, name) as image:  # whose end is missing, if it is: OpenCV would fill it
        image.load()
    try:
        values = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        values = None
    if values is None or values.ndim != 3:
        raise InputError(
            f"{name} cannot be read with its 16 bits: convert it to another kind of PNG or TIFF."
        )
    return values[..., [2, 1, 0, *range(3, values.shape[2])]]
