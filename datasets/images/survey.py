"""Which channels and values the pictures of a data set have: found from some of its files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pocketvision.core.errors import InputError
from pocketvision.core.resize import RGB, PixelFormat
from pocketvision.datasets.even_choice import first_to_last
from pocketvision.datasets.images.array_files import beyond_pillow, stated_tiff
from pocketvision.datasets.images.bands import as_pixels, read_values
from pocketvision.datasets.images.header import file_header
from pocketvision.datasets.images.read import read_bytes

MAX_LOOKED_AT = 64
"""Pictures, at even distances."""
_MIN_STD = 0.01


class FoundPixels(NamedTuple):
    """What to read pictures as; ``mean`` and ``std`` of the channels in 0..1, None for 8-bit RGB.

    They are measured on ``num_images`` pictures.
    """

    pixels: PixelFormat = RGB
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    num_images: int = 0

    @property
    def fill(self) -> tuple[int, ...] | None:
        """What is drawn around a picture: its mean; None for 8-bit RGB, which has ImageNet's."""
        return None if self.mean is None else tuple(round(255 * value) for value in self.mean)

    @property
    def line(self) -> str | None:
        """For a person; None where there is nothing to say."""
        if self.pixels == RGB:
            return None
        channels, limits = self.pixels.channels, self.pixels.value_range
        said = "1 channel" if channels == 1 else f"{channels} channels"
        if limits is not None:
            said += f", values {limits[0]:g} to {limits[1]:g} taken as 0 to 255"
        if self.mean is None:
            return said
        return f"{said}; their mean and deviation measured on {self.num_images} training pictures"


EIGHT_BIT_RGB = FoundPixels()


class _Seen(NamedTuple):
    """``is_rgb``: it can be read as RGB; ``has_more``: a fourth channel is no alpha."""

    path: str
    channels: int
    is_rgb: bool
    has_more: bool
    is_deep: bool
    is_float: bool
    least: float
    most: float


def look_at_pixels(
    paths: Sequence[str], channels: int | None = None, value_range: tuple[float, float] | None = None
) -> FoundPixels:
    """What the pictures are, by up to 64 of them; pictures that can't be read are passed over.

    8-bit gray, RGB and RGBA are read as RGB, also among others of more bits. Pictures of 2 or more than 4
    channels, those whose fourth is no alpha, and such as all have more than 8 bits keep their own channels,
    of which a TIFF of gray pages has one a page. Whole numbers of more than 8 bits get the range from 0 to
    the least power of two above all values, less 1. ``channels`` and ``value_range`` are kept to where they
    are given.

    Raises:
        InputError: the pictures have several numbers of channels, or values whose range no rule gives.
    """
    chosen = [paths[i] for i in first_to_last(len(paths), MAX_LOOKED_AT)]
    pictures = [seen for path in chosen if (seen := _look(path)) is not None]
    if not pictures:
        return EIGHT_BIT_RGB
    pixels = _format_of(pictures, channels, value_range)
    return EIGHT_BIT_RGB if pixels == RGB else _measured(chosen, pixels)


def _look(path: str) -> _Seen | None:
    """None for a file that is broken, which other parts of the program say."""
    try:
        if file_header(path).is_plain:
            return _Seen(path, RGB.channels, True, False, False, False, 0, 255)
        data = read_bytes(path)
        values = read_values(data, path)
        beyond, stated = beyond_pillow(data, path), stated_tiff(data)
    except InputError as error:
        if "tifffile" in str(error):
            raise
        return None
    channels, is_float = values.shape[2], values.dtype.kind == "f"
    known = values[np.isfinite(values)] if is_float else values
    if not known.size:
        raise InputError(f"{path} has no value that is a number: replace the file, or remove it.")
    is_rgb, has_more = channels in (1, 3) or beyond is None, False
    if stated is not None:
        is_rgb = is_rgb and (channels == 1 or stated.channels > 1)  # else they are its pages
        has_more = stated.has_more
    least, most = float(known.min()), float(known.max())
    return _Seen(path, channels, is_rgb, has_more, values.dtype != np.uint8, is_float, least, most)


def _format_of(
    pictures: Sequence[_Seen], channels: int | None, value_range: tuple[float, float] | None
) -> PixelFormat:
    is_deep, is_asked = all(seen.is_deep for seen in pictures), (channels, value_range) != (None, None)
    if not is_asked and all(seen.is_rgb for seen in pictures):
        counts = {seen.channels for seen in pictures}
        if len(counts) > 1 or not (is_deep or all(seen.has_more for seen in pictures)):
            return RGB
    first = pictures[0]
    other = next((seen for seen in pictures if seen.channels != first.channels), None)
    if other is not None and channels is None:
        raise InputError(
            f"{other.path} has {other.channels} channels, and {first.path} has {first.channels}: pictures "
            "of a data set need one number of channels; leave some out, or give model.in_channels."
        )
    if value_range is None and is_deep:
        value_range = _range_of(pictures)
    if value_range is None and not is_asked and first.channels == RGB.channels:
        value_range = 0, 255  # pages, of which RGB would be the first
    return PixelFormat(channels or first.channels, value_range)


def _range_of(pictures: Sequence[_Seen]) -> tuple[float, float]:
    least, most = min(seen.least for seen in pictures), max(seen.most for seen in pictures)
    if any(seen.is_float for seen in pictures) or least < 0:
        if least >= 0 and most <= 1:
            return 0.0, 1.0
        raise InputError(
            f"{pictures[0].path} and others hold {least:g} to {most:g}, whose range no rule gives: "
            "give model.value_range=(LOW,HIGH), such as (-1000,3000)."
        )
    return 0, 2 ** max(8, int(most).bit_length()) - 1


def _measured(paths: Sequence[str], pixels: PixelFormat) -> FoundPixels:
    """Mean and deviation over all pixels of the pictures, each picture weighing the same."""
    means, squares = [], []
    for path in paths:
        try:
            values = read_values(read_bytes(path), path)
        except InputError:
            continue
        shares = as_pixels(values, pixels, path).reshape(-1, pixels.channels) / 255.0
        means.append(shares.mean(axis=0))
        squares.append((shares**2).mean(axis=0))
    if not means:
        raise InputError(f"{paths[0]} and others can't be read: check-data says why.")
    mean = np.mean(means, axis=0)
    deviation = np.sqrt(np.maximum(0, np.mean(squares, axis=0) - mean**2)).clip(_MIN_STD)
    return FoundPixels(pixels, _rounded(mean), _rounded(deviation), len(means))


def _rounded(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> tuple[float, ...]:
    return tuple(round(float(value), 4) for value in values)
