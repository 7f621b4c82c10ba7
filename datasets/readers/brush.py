"""Label Studio's brush: the pixels of an object as packed run lengths of an RGBA picture.

Format: https://github.com/thi-ng/umbrella/tree/develop/packages/rle-pack; alpha says what is inside.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvision.core.structures import Size
from pocketvision.datasets.images.header import MAX_PIXELS

_CHANNELS = 4


class _Bits:
    """Numbers of some bits each, one after the other."""

    def __init__(self, data: bytes) -> None:
        self.data, self.place = data, 0

    def read(self, count: int) -> int:
        start, self.place = self.place, self.place + count
        if self.place > 8 * len(self.data):
            raise ValueError("no bits are left")
        end = -(-self.place // 8)
        value = int.from_bytes(self.data[start // 8 : end], "big") >> (8 * end - self.place)
        return value & ((1 << count) - 1)


def decode_brush(packed: Any, size: Size) -> npt.NDArray[np.bool_] | None:
    """The mask (H, W) of a list of bytes; None where it is none, or of another size."""
    height, width = size
    total = height * width * _CHANNELS
    if not isinstance(packed, list) or not 0 < height * width <= MAX_PIXELS:
        return None
    try:
        bits = _Bits(bytes(packed))
        if bits.read(32) != total:
            return None
        word = bits.read(5) + 1
        lengths = [bits.read(4) + 1 for _ in range(4)]
        values, counts, done = list[int](), list[int](), 0
        while done < total:
            is_run = bits.read(1)
            length = bits.read(lengths[bits.read(2)]) + 1
            own = [bits.read(word)] if is_run else [bits.read(word) for _ in range(length)]
            values += own
            counts += [length] if is_run else [1] * length
            done += length
    except (ValueError, TypeError):  # no bytes, or not enough of them
        return None
    pixels = np.repeat(np.array(values) > 0, counts)[:total]
    return np.asarray(pixels.reshape(height, width, _CHANNELS)[..., -1])
