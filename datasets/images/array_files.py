"""What files of arrays say of themselves that Pillow can't read: TIFF of many channels, NumPy's ``.npy``."""

from __future__ import annotations

import io
import struct
from typing import NamedTuple

import numpy as np

from pocketvision.core.errors import InputError
from pocketvision.core.structures import Size

NPY = b"\x93NUMPY"
_TIFF = {b"II*\0": "<", b"MM\0*": ">"}
"""TIFF's beginnings, and the order of bytes that they state."""
_WIDTH, _HEIGHT, _BITS, _ORIENTATION, _SAMPLES, _KIND = 256, 257, 258, 274, 277, 339
_TYPES = {1: "B", 3: "H", 4: "I"}
"""TIFF's types of whole numbers without a sign."""
_MAX_TAGS = 512
_PILLOW_SAMPLES = (1, 3, 4)


class StatedArray(NamedTuple):
    """``size`` is (height, width) as stored; ``bits`` are those of a channel."""

    format: str
    size: Size
    channels: int
    bits: int
    orientation: int = 1


def beyond_pillow(data: bytes, name: str) -> StatedArray | None:
    """What a file says that Pillow would not open; None for any other.

    Raises:
        InputError: it is a .npy file of no picture.
    """
    if data.startswith(NPY):
        return _of_npy(data, name)
    found = stated_tiff(data)
    if found is None or (found.channels in _PILLOW_SAMPLES and not (found.channels > 1 and found.bits > 16)):
        return None
    return found


def stated_tiff(data: bytes) -> StatedArray | None:
    """The first page of a TIFF file of 32-bit offsets; None where it is none, or broken."""
    order = _TIFF.get(data[:4])
    if order is None:
        return None
    try:
        tags = _tags(data, order)
    except (struct.error, LookupError):
        return None
    if not (tags.get(_WIDTH) and tags.get(_HEIGHT)):
        return None
    orientation = tags.get(_ORIENTATION, 1)
    return StatedArray(
        "TIFF",
        (tags[_HEIGHT], tags[_WIDTH]),
        tags.get(_SAMPLES, 1),
        tags.get(_BITS, 1),
        orientation if 1 <= orientation <= 8 else 1,
    )


def _tags(data: bytes, order: str) -> dict[int, int]:
    """Tag -> its first value, of whole numbers."""
    (place,) = struct.unpack_from(f"{order}I", data, 4)
    (count,) = struct.unpack_from(f"{order}H", data, place)
    found: dict[int, int] = {}
    for entry in range(place + 2, place + 2 + 12 * min(count, _MAX_TAGS), 12):
        tag, kind, length = struct.unpack_from(f"{order}HHI", data, entry)
        if kind not in _TYPES or not length:
            continue
        value = f"{order}{_TYPES[kind]}"
        is_inside = struct.calcsize(value) * length <= 4
        start = entry + 8 if is_inside else struct.unpack_from(f"{order}I", data, entry + 8)[0]
        (found[tag],) = struct.unpack_from(value, data, start)
    return found


def _of_npy(data: bytes, name: str) -> StatedArray:
    stream = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(stream)
        read = (
            np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        )
        shape, _, dtype = read(stream)
    except Exception:  # whatever broken bytes lead NumPy to
        raise InputError(f"{name} is truncated or broken: replace the file, or remove it.") from None
    if len(shape) not in (2, 3) or dtype.kind not in "uif" or not all(shape):
        raise InputError(
            f"{name} is no picture: it holds {dtype} of the shape {shape}; write numbers (H, W) or (H, W, C)."
        )
    return StatedArray("NPY", (shape[0], shape[1]), (*shape, 1)[2], 8 * dtype.itemsize)
