"""An image that is decoded when its pixels are needed, and no finer than they are needed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import cv2
import numpy as np

from pocketvision.core.errors import InputError
from pocketvision.core.resize import RGB, PixelFormat
from pocketvision.core.structures import Size
from pocketvision.datasets.images.bands import read_pixels
from pocketvision.datasets.images.decoded_cache import ImageCache
from pocketvision.datasets.images.read import Array, Reading, read_size


class Picture(Protocol):
    """What augmentation draws its windows on."""

    @property
    def size(self) -> Size:
        """(height, width) of the whole image."""
        ...

    def read(self, scale: float = 1.0) -> Reading:
        """All of the image (h, w, 3) uint8 RGB, with at least ``scale`` times the pixels along each side."""
        ...


@dataclass(frozen=True)
class Pixels:
    """An image in memory."""

    array: Array

    @property
    def size(self) -> Size:
        return self.array.shape[0], self.array.shape[1]

    def read(self, scale: float = 1.0) -> Reading:
        return Reading(self.array, self.size, self.size)


def as_picture(image: Array | Picture) -> Picture:
    """``image`` as something with a size that can be read."""
    return Pixels(image) if isinstance(image, np.ndarray) else image


@dataclass
class PictureFile:
    """An image file. A JPEG is decoded at a half, a quarter or an eighth where ``scale`` allows it.

    With a ``cache`` it is decoded once and kept with sides of at least ``kept_size``; its pixels then
    don't depend on ``scale``, nor on whether the cache had room for it.

    Attributes:
        stated_size: (height, width) as the annotations say.
        pixels: which channels it is read with.
    """

    path: str
    stated_size: Size | None = None
    cache: ImageCache | None = None
    kept_size: Size | None = None
    pixels: PixelFormat = RGB
    _found_size: Size | None = None

    @property
    def size(self) -> Size:
        """As stated, else as the file says.

        Raises:
            InputError: the file cannot be read.
        """
        known = self.stated_size or self._found_size
        if known is not None:
            return known
        if self.cache is not None:
            return self._kept.size
        self._found_size = read_size(self.path)
        return self._found_size

    def read(self, scale: float = 1.0) -> Reading:
        """See :class:`Picture`.

        Raises:
            InputError: the file cannot be read, or has another size than stated.
        """
        reading = read_pixels(self.path, self.pixels, scale) if self.cache is None else self._kept
        self._found_size = reading.size
        if self.stated_size not in (None, reading.size):
            height, width = self.stated_size
            raise InputError(
                f"{self.path} is {reading.size[1]}x{reading.size[0]} pixels, but its annotation says "
                f"{width}x{height}: its boxes belong to another version of the image; replace one of the two."
            )
        return reading

    @cached_property
    def _kept(self) -> Reading:
        assert self.cache is not None
        return self.cache.load(self.path, self.kept_size, self._decode)

    def _decode(self) -> Reading:
        """What to keep."""
        if self.kept_size is None:
            return read_pixels(self.path, self.pixels)
        scale = _scale(read_size(self.path), self.kept_size)
        reading = read_pixels(self.path, self.pixels, scale)
        if scale >= 1:
            return reading
        # Of what the pixels cover: sides of the image itself would stretch a reduced one.
        height, width = (max(1, round(side * scale)) for side in reading.covers)
        small = cv2.resize(reading.pixels, (width, height), interpolation=cv2.INTER_AREA)
        return reading._replace(pixels=np.asarray(small, dtype=np.uint8))


def _scale(size: Size, least: Size) -> float:
    """The factor (1 at most) on an image of ``size`` so that no side falls below that of ``least``."""
    return min(1.0, max(least[0] / size[0], least[1] / size[1]))
