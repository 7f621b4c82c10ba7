"""An image that is decoded when its pixels are needed, and no finer than they are needed."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import cv2
import numpy as np

from pocketvision.core.errors import InputError
from pocketvision.core.structures import Size
from pocketvision.datasets.images.decoded_cache import ImageCache
from pocketvision.datasets.images.read import Array, read_image, read_size

_JPEG = (".jpg", ".jpeg")


class Picture(Protocol):
    """What augmentation draws its windows on."""

    @property
    def size(self) -> Size:
        """(height, width) of the whole image."""
        ...

    def read(self, scale: float = 1.0) -> Array:
        """All of the image (h, w, 3) uint8 RGB, with at least ``scale`` times the pixels along each side."""
        ...


@dataclass(frozen=True)
class Pixels:
    """An image in memory."""

    array: Array

    @property
    def size(self) -> Size:
        return self.array.shape[0], self.array.shape[1]

    def read(self, scale: float = 1.0) -> Array:
        return self.array


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
    """

    path: str
    stated_size: Size | None = None
    cache: ImageCache | None = None
    kept_size: Size | None = None
    _found_size: Size | None = None
    _whole: Array | None = field(default=None, repr=False)

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
            return self._kept[1]
        if self.path.lower().endswith(_JPEG):
            self._found_size = read_size(self.path)
        else:
            self._whole = self.read()
        assert self._found_size is not None
        return self._found_size

    def read(self, scale: float = 1.0) -> Array:
        """See :class:`Picture`.

        Raises:
            InputError: the file cannot be read, or has another size than stated.
        """
        if self.cache is not None:
            image, size = self._kept
            self._check(size, 1)
            return image
        if self._whole is not None:
            return self._whole
        reduction = self._reduction(scale)
        image = read_image(self.path, reduction)
        if reduction == 1:
            self._found_size = image.shape[0], image.shape[1]
        self._check((image.shape[0] * reduction, image.shape[1] * reduction), reduction)
        return image

    @cached_property
    def _kept(self) -> tuple[Array, Size]:
        assert self.cache is not None
        return self.cache.load(self.path, self.kept_size, self._decode)

    def _decode(self) -> tuple[Array, Size]:
        """The pixels to keep, and the size of the file's image."""
        size = read_size(self.path) if self.path.lower().endswith(_JPEG) else None
        scale = 1.0 if self.kept_size is None or size is None else _scale(size, self.kept_size)
        image = read_image(self.path, self._reduction(scale))
        size = size or (image.shape[0], image.shape[1])
        if self.kept_size is None or (scale := _scale(size, self.kept_size)) >= 1:
            return image, size
        height, width = (max(1, round(side * scale)) for side in size)
        return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)), size

    def _reduction(self, scale: float) -> int:
        if not self.path.lower().endswith(_JPEG):
            return 1
        return next((reduction for reduction in (8, 4, 2) if reduction * scale <= 1), 1)

    def _check(self, found: Size, tolerance: int) -> None:
        """A reduced image's sides are known up to its reduction."""
        if self.stated_size is None:
            return
        height, width = self.stated_size
        if abs(found[0] - height) >= tolerance or abs(found[1] - width) >= tolerance:
            raise InputError(
                f"{self.path} is {found[1]}x{found[0]} pixels, but its annotation says "
                f"{width}x{height}: its boxes belong to another version of the image; replace one of the two."
            )


def _scale(size: Size, least: Size) -> float:
    """The factor (1 at most) on an image of ``size`` so that no side falls below that of ``least``."""
    return min(1.0, max(least[0] / size[0], least[1] / size[1]))
