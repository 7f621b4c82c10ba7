"""A window of an image at the size of the model's input: one cut and one resize, no canvas between."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from pocketvision.core.resize import Resize, bordered
from pocketvision.core.structures import Size
from pocketvision.datasets.images.read import Array
from pocketvision.datasets.records.annotations import Boxes

FillColor = tuple[int, ...]
"""A value a channel; images of another number of channels get the mean of them."""
_Floats = TypeVar("_Floats", npt.NDArray[np.float32], npt.NDArray[np.float64])
_SLACK = 1e-6
"""Of a pixel: rounding errors must not add a row."""


class Landing(NamedTuple):
    """Where the original's pixels land in the view: position * scale + offset, each (x, y).

    ``content`` (height, width) is the part of the view that is no letterbox padding.
    """

    scale: tuple[float, float]
    offset: tuple[float, float]
    content: Size

    def __call__(self, boxes: Boxes) -> Boxes:
        """Boxes (G, 4) xyxy of the original -> those of the view, not clipped."""
        scale, offset = np.array([self.scale, self.offset], dtype=np.float64)[:, [0, 1, 0, 1]]
        moved: Boxes = (boxes * scale + offset).astype(np.float32)
        return moved


def needed_scale(window: Sequence[float], resize: Resize) -> float:
    """Resolution, as a share of the original's, from which :func:`show` enlarges nothing."""
    width, height = window[2] - window[0], window[3] - window[1]
    rows, columns = resize.content_size((math.ceil(height), math.ceil(width)))
    return max(rows / height, columns / width)


def show(
    pixels: Array, covers: Size, window: Sequence[float], resize: Resize, fill: FillColor
) -> tuple[Array, Landing]:
    """The part ``window`` (x1, y1, x2, y2) of an image, as ``resize`` makes an input of it.

    ``pixels`` are the whole image at any resolution and show ``covers`` (height, width) of it: up to the
    end of their last row and column, which of a reduced JPEG lies beyond the image's own. What the window
    shows beyond them has the color ``fill``. The image's border falls on whole pixels of the view; boxes
    that are moved by the returned :class:`Landing` stay on their objects.
    """
    left, top, right, bottom = window
    rows, columns = resize.content_size((math.ceil(bottom - top), math.ceil(right - left)))
    y = _fit(top, bottom, covers[0], pixels.shape[0], rows)
    x = _fit(left, right, covers[1], pixels.shape[1], columns)
    part = pixels[y.start : y.stop, x.start : x.stop]
    if min(part.strides) < 0 or part.strides[1] < part.strides[2]:
        part = np.ascontiguousarray(part)  # a turned image
    inner = replace(resize, image_size=(y.last - y.first, x.last - x.first), mode="stretch").apply(part)
    image = _frame(inner, (y.first, rows - y.last, x.first, columns - x.last), fill)
    beyond = resize.image_size[0] - rows, resize.image_size[1] - columns
    image = _frame(image, (0, beyond[0], 0, beyond[1]), (resize.fill,) * 3)
    return image, Landing((x.scale, y.scale), (x.offset, y.offset), (rows, columns))


class _Span(NamedTuple):
    """Along one axis: pixels ``start:stop`` of the image fill ``first:last`` of the view."""

    start: int
    stop: int
    first: int
    last: int
    scale: float
    offset: float


def _fit(low: float, high: float, length: int, stored: int, output: int) -> _Span:
    """For the window's ends, the length that is covered by how many pixels, and the view's."""
    share, factor = stored / length, output / (high - low)
    start = min(max(0, math.floor(low * share + _SLACK)), stored - 1)
    stop = max(start + 1, min(stored, math.ceil(high * share - _SLACK)))
    first = min(max(0, round((start / share - low) * factor)), output - 1)
    last = max(first + 1, min(output, round((stop / share - low) * factor)))
    scale = (last - first) * share / (stop - start)
    return _Span(start, stop, first, last, scale, first - start / share * scale)


def _frame(image: Array, pads: tuple[int, int, int, int], color: FillColor) -> Array:
    """Pixels of ``color`` added at the top, bottom, left and right."""
    if not any(pads):
        return image
    return bordered(image, pads, color)


def turn(boxes: _Floats, size: Size, quarters: int) -> tuple[Size, _Floats]:
    """Size of an image and boxes (G, 4) in it after ``numpy.rot90`` by ``quarters``."""
    for _ in range(quarters):
        boxes = np.stack((boxes[:, 1], size[1] - boxes[:, 2], boxes[:, 3], size[1] - boxes[:, 0]), axis=1)
        size = size[1], size[0]
    return size, boxes
