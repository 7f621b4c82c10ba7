"""What files of arrays say of themselves that Pillow can't read: TIFF of many channels, NumPy's ``.npy``."""

from __future__ import annotations

import io
import struct
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pocketvision.core.errors import InputError
from pocketvision.core.resize import MAX_CHANNELS
from pocketvision.core.structures import Size

NPY = b"\x93NUMPY"
_TIFF = {b"II*\0": "<", b"MM\0*": ">", b"II+\0": "<", b"MM\0+": ">"}
"""TIFF's beginnings, and the order of bytes that they state; the last two have offsets of 64 bits."""
_WIDTH, _HEIGHT, _BITS, _KIND, _ORIENTATION, _SAMPLES, _PLANES, _EXTRA = (
    256,
    257,
    258,
    262,
    274,
    277,
    284,
    338,
)
_TYPES = {1: "B", 3: "H", 4: "I", 16: "Q"}
"""TIFF's types of whole numbers without a sign."""
_MAX_TAGS = 512
_GRAY, _RGB, _SEPARATE, _ALPHA = 1, 2, 2, (1, 2)
"""Values of _KIND, _PLANES and _EXTRA."""
_PILLOW_SAMPLES = (1, 3, 4)


class StatedArray(NamedTuple):
    """``size`` is (height, width) as stored; ``bits`` are those of a channel.

    ``is_bands``: there are several, and none is said to be a color. ``has_more``: a fourth is said to be
    neither alpha nor a color.
    """

    format: str
    size: Size
    channels: int
    bits: int
    orientation: int = 1
    is_bands: bool = False
    has_more: bool = False
    is_planar: bool = False

    @property
    def is_beyond_pillow(self) -> bool:
        """Whether Pillow would not open it, or give other numbers."""
        if self.format == "NPY" or self.channels not in _PILLOW_SAMPLES or self.bits > 32:
            return True
        return self.is_bands or (
            self.channels > 1 and (self.bits > 16 or (self.is_planar and self.bits == 16))
        )


def beyond_pillow(data: bytes, name: str) -> StatedArray | None:
    """What a file says that Pillow would not open; None for any other.

    Raises:
        InputError: it has more channels than are read, or is a .npy file of no picture.
    """
    found = _of_npy(data, name) if data.startswith(NPY) else stated_tiff(data)
    if found is None or not found.is_beyond_pillow:
        return None
    if found.channels > MAX_CHANNELS:
        raise InputError(
            f"{name} has {found.channels} channels, and at most {MAX_CHANNELS} are read: leave some out."
        )
    return found


def stated_tiff(data: bytes) -> StatedArray | None:
    """The first page of a TIFF file; None where it is none, or broken."""
    order = _TIFF.get(data[:4])
    if order is None:
        return None
    try:
        tags = _tags(data, order, is_big=b"+" in data[:4])
    except (struct.error, LookupError):
        return None
    if not (tags.get(_WIDTH) and tags.get(_HEIGHT)):
        return None
    orientation, channels = tags.get(_ORIENTATION, 1), tags.get(_SAMPLES, 1)
    kind, has_alpha = tags.get(_KIND, _GRAY), tags.get(_EXTRA) in _ALPHA
    is_bands = channels > 1 and kind == _GRAY
    return StatedArray(
        "TIFF",
        (tags[_HEIGHT], tags[_WIDTH]),
        channels,
        tags.get(_BITS, 1),
        orientation if 1 <= orientation <= 8 else 1,
        is_bands,
        channels == 4 and (is_bands or (kind == _RGB and not has_alpha)),
        tags.get(_PLANES) == _SEPARATE,
    )


def _tags(data: bytes, order: str, *, is_big: bool) -> dict[int, int]:
    """Tag -> its first value, of whole numbers."""
    offset, count, length, width = ("Q", "Q", 20, 8) if is_big else ("I", "H", 12, 4)
    (place,) = struct.unpack_from(f"{order}{offset}", data, 8 if is_big else 4)
    (number,) = struct.unpack_from(f"{order}{count}", data, place)
    place += struct.calcsize(f"{order}{count}")
    found: dict[int, int] = {}
    for entry in range(place, place + length * min(number, _MAX_TAGS), length):
        tag, kind, amount = struct.unpack_from(f"{order}HH{offset}", data, entry)
        if kind not in _TYPES or not amount:
            continue
        value, start = f"{order}{_TYPES[kind]}", entry + length - width
        if struct.calcsize(value) * amount > width:
            (start,) = struct.unpack_from(f"{order}{offset}", data, start)
        (found[tag],) = struct.unpack_from(value, data, start)
    return found


def stated_values(data: bytes, name: str, stated: StatedArray) -> npt.NDArray[Any]:
    """The numbers (H, W, C) of what is beyond Pillow, as stored, of its own type.

    Raises:
        InputError: the file is broken, or a package is missing.
    """
    values = _npy_values(data, name) if stated.format == "NPY" else _by_tifffile(data, name, stated)
    return values.reshape(*values.shape[:2], -1)


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
    channels = (*shape, 1)[2]
    if shape[0] <= MAX_CHANNELS < channels:
        raise InputError(
            f"{name} is {shape}, which looks like channels first: write it as (H, W, C), with "
            "np.moveaxis(array, 0, -1)."
        )
    return StatedArray("NPY", (shape[0], shape[1]), channels, 8 * dtype.itemsize)


def _npy_values(data: bytes, name: str) -> npt.NDArray[Any]:
    try:
        values = np.asarray(np.load(io.BytesIO(data), allow_pickle=False))
    except (ValueError, EOFError, OSError):
        raise InputError(f"{name} is truncated or broken: replace the file, or remove it.") from None
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def _by_tifffile(data: bytes, name: str, stated: StatedArray) -> npt.NDArray[Any]:
    try:
        import tifffile
    except ImportError:
        raise InputError(
            f"{name} is a TIFF of many channels, which needs tifffile: pip install 'pocketvision[tiff]'."
        ) from None
    try:
        values = np.asarray(tifffile.TiffFile(io.BytesIO(data)).pages[0].asarray())
        if values.ndim not in (2, 3) or not values.size:
            raise ValueError(f"its shape is {values.shape}")
    except Exception as error:  # whatever a broken file leads it to
        reason = " ".join(str(error).split())[:120]
        raise InputError(f"{name} cannot be read as TIFF ({reason}): write it again.") from None
    is_planar = stated.is_planar and values.ndim == 3
    return np.moveaxis(values, 0, -1) if is_planar else values
