"""Image and mask files -> arrays, with errors that name the file."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from pocketvision.core.errors import InputError
from pocketvision.core.structures import Size

Array = npt.NDArray[np.uint8]

_TAIL = 64
_REDUCED = {
    1: 0,
    2: cv2.IMREAD_REDUCED_GRAYSCALE_2,
    4: cv2.IMREAD_REDUCED_GRAYSCALE_4,
    8: cv2.IMREAD_REDUCED_GRAYSCALE_8,
}
_RGB = int(getattr(cv2, "IMREAD_COLOR_RGB", 0))
"""Since OpenCV 4.11; with older ones the channels are swapped afterwards."""
_REMEDY = "replace the file, or remove it from the data"


def read_image(path: str, reduction: int = 1) -> Array:
    """Decode an image file: (H, W, 3) uint8 RGB.

    ``reduction`` 2, 4 or 8 divides the sides, rounded up, while a JPEG is decoded: from fewer of its
    frequencies, which takes less time and has no aliasing. Other formats must be read with 1.

    A rotation stated in EXIF is not applied: sizes and boxes of COCO-like data describe the stored pixels.

    Raises:
        InputError: the file is missing, truncated or not an image.
    """
    data = _read_bytes(path)
    flags = (_RGB or cv2.IMREAD_COLOR) | _REDUCED[reduction] | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        image = cv2.imdecode(data, flags)
    except cv2.error:
        image = None
    if image is None:
        raise InputError(f"{path} cannot be read as an image: {_REMEDY}.")
    _check_complete(data, path)
    return np.asarray(image if _RGB else cv2.cvtColor(image, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def read_mask(path: str) -> Array:
    """Decode a single-channel mask, such as a PNG with or without a palette: (H, W) uint8 values.

    Raises:
        InputError: the file is missing, unreadable, or has colours instead of class ids.
    """
    data = _read_bytes(path)
    try:
        with Image.open(io.BytesIO(data.tobytes())) as mask:
            mode, values = mask.mode, np.asarray(mask)
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(f"{path} cannot be read as a mask ({error}): {_REMEDY}.") from None
    if mode not in ("L", "P", "1"):
        raise InputError(
            f"{path} is no mask: it has pixels of type {mode}, but a mask has one 8-bit channel with the "
            f"class ids; convert it to such a PNG."
        )
    return values.astype(np.uint8)


def read_size(path: str) -> Size:
    """(height, width) from the file's header, without decoding and without EXIF rotation.

    Raises:
        InputError: the file is missing or not an image.
    """
    try:
        with Image.open(path) as image:
            return image.height, image.width
    except (OSError, SyntaxError, ValueError):
        raise InputError(f"{path} cannot be read as an image: {_REMEDY}.") from None


def _read_bytes(path: str) -> Array:
    try:
        data = np.fromfile(path, dtype=np.uint8)
    except OSError as error:
        raise InputError(f"{path} cannot be opened ({error.strerror}): {_REMEDY}.") from None
    if not data.size:
        raise InputError(f"{path} is empty: {_REMEDY}.")
    return data


def _check_complete(data: Array, path: str) -> None:
    """OpenCV fills the missing part of a truncated file with grey and says nothing."""
    end = {".jpg": b"\xff\xd9", ".jpeg": b"\xff\xd9", ".png": b"IEND"}.get(Path(path).suffix.lower())
    if end is None or end in data[-_TAIL:].tobytes():
        return
    try:
        with Image.open(io.BytesIO(data.tobytes())) as image:
            image.load()
    except (OSError, SyntaxError, ValueError):
        raise InputError(f"{path} is truncated: {_REMEDY}.") from None
