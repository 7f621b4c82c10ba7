"""A window of an image at the size of the model's input: one cut and one resize, no canvas between."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from pocketvision.core.resize import Resize, bordered
from pocketvision.core.structures import IGNORE_INDEX, Size
from pocketvision.datasets.images.read import Array
from pocketvision.datasets.records.annotations import Boxes, Mask

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
    y, x, content = _fit_both(pixels.shape[:2], covers, window, resize)
    part = pixels[y.start : y.stop, x.start : x.stop]
    if min(part.strides) < 0 or part.strides[1] < part.strides[2]:
        part = np.ascontiguousarray(part)  # a turned image
    inner = replace(resize, image_size=(y.last - y.first, x.last - x.first), mode="stretch").apply(part)
    image = _framed(inner, y, x, content, resize, fill, (resize.fill,) * 3)
    return image, Landing((x.scale, y.scale), (x.offset, y.offset), content)


def show_mask(mask: Mask, window: Sequence[float], resize: Resize, quarters: int = 0) -> Mask:
    """The part ``window`` of a mask (H, W), turned by ``quarters`` first, as :func:`show` shows its image.

    By nearest neighbor, and 255 (ignored) beyond the mask and in the padding.
    """
    height, width = mask.shape
    size, (turned,) = turn(np.array([window], dtype=np.float64), (height, width), quarters)
    y, x, content = _fit_both(size, size, turned.tolist(), resize)
    part = np.ascontiguousarray(np.rot90(mask, quarters)[y.start : y.stop, x.start : x.stop])
    stretch = replace(resize, image_size=(y.last - y.first, x.last - x.first), mode="stretch")
    return _framed(stretch.apply_to_mask(part), y, x, content, resize, (IGNORE_INDEX,), (IGNORE_INDEX,))


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


def _fit_both(
    stored: Size, covers: Size, window: Sequence[float], resize: Resize
) -> tuple[_Span, _Span, Size]:
    """Where rows and columns of a stored image fall in the view of a window, and the view's content."""
    left, top, right, bottom = window
    content = resize.content_size((math.ceil(bottom - top), math.ceil(right - left)))
    y = _fit(top, bottom, covers[0], stored[0], content[0])
    return y, _fit(left, right, covers[1], stored[1], content[1]), content


def _framed(
    inner: Array, y: _Span, x: _Span, content: Size, resize: Resize, fill: FillColor, padding: FillColor
) -> Array:
    """What is shown of an image, with ``fill`` around it where the window is larger, and the padding."""
    image = _frame(inner, (y.first, content[0] - y.last, x.first, content[1] - x.last), fill)
    beyond = resize.image_size[0] - content[0], resize.image_size[1] - content[1]
    return _frame(image, (0, beyond[0], 0, beyond[1]), padding)


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
