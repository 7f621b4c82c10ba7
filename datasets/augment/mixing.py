"""Several images in one sample, for small data sets: mosaic, mixup, copy-paste of boxes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import cv2
import numpy as np

from pocketvision.core.resize import Resize
from pocketvision.core.structures import Size
from pocketvision.datasets.augment.ssd_crop import boxes_in, clean_boxes
from pocketvision.datasets.augment.view import FillColor, needed_scale, show, turn
from pocketvision.datasets.images.picture import Picture
from pocketvision.datasets.images.read import Array
from pocketvision.datasets.records.annotations import Boxes, Labels

_CENTER = (0.3, 0.7)
_SCALE = (0.5, 1.0)
_MAX_PASTED, _PLACES, _MAX_COVERED, _MAX_SIDE = 3, 8, 0.3, 0.5


class Annotated(NamedTuple):
    """An image that may not be decoded yet, its boxes (G, 4) xyxy in its own pixels, and labels (G,)."""

    picture: Picture
    boxes: Boxes
    labels: Labels


class MixedSample(NamedTuple):
    """An image (H, W, 3) uint8 at the input's size, its boxes (G, 4) xyxy in its pixels, and labels (G,)."""

    image: Array
    boxes: Boxes
    labels: Labels


Partners = Callable[[np.random.Generator], Annotated]
"""Draws another image of the data set."""


def mosaic(
    images: Sequence[Annotated], resize: Resize, fill: FillColor, rng: np.random.Generator
) -> MixedSample:
    """Four images around a random point (arXiv:2004.10934, sec. 3.3), boxes cut to their quarter.

    Each image is shown at 0.5 to 1 times the size it has alone; a quarter that is smaller shows a random
    part, one that is larger is filled up at the outside.
    """
    height, width = resize.image_size
    x, y = round(width * rng.uniform(*_CENTER)), round(height * rng.uniform(*_CENTER))
    x, y = min(max(x, 1), width - 1), min(max(y, 1), height - 1)
    image = np.empty((height, width, resize.pixels.channels), dtype=np.uint8)
    corners = (0, 0, x, y), (x, 0, width, y), (0, y, x, height), (x, y, width, height)
    boxes, labels = [], []
    for number, (annotated, (left, top, right, bottom)) in enumerate(zip(images, corners, strict=True)):
        tile = bottom - top, right - left
        window = _tile_window(annotated.picture.size, tile, resize, (number % 2 == 0, number < 2), rng)
        part = view(annotated, window, replace(resize, image_size=tile, mode="stretch"), fill)
        image[top:bottom, left:right] = part.image
        boxes.append(part.boxes + np.array([left, top, left, top], dtype=np.float32))
        labels.append(part.labels)
    return MixedSample(image, *clean_boxes(np.concatenate(boxes), np.concatenate(labels), resize.image_size))


def mixup(first: MixedSample, second: MixedSample) -> MixedSample:
    """The mean of two images with the boxes of both (arXiv:2107.08430, sec. 2.1)."""
    mean = cv2.addWeighted(first.image, 0.5, second.image, 0.5, 0)
    image = np.asarray(mean, dtype=np.uint8).reshape(first.image.shape)
    boxes = np.concatenate((first.boxes, second.boxes))
    return MixedSample(image, boxes, np.concatenate((first.labels, second.labels)))


def copy_paste(
    sample: MixedSample, other: Annotated, resize: Resize, fill: FillColor, rng: np.random.Generator
) -> MixedSample:
    """Up to three boxes of another image on top of ``sample`` (after arXiv:2012.07177, with whole boxes).

    They have 0.5 to 1.5 times the size they have there, go to places where they hide at most 30 % of
    every box, and are left out where no such place is found.
    """
    image, boxes, labels = np.array(sample.image), sample.boxes, sample.labels
    size = other.picture.size
    rows, columns = resize.content_size(size)
    for index in rng.permutation(len(other.boxes))[:_MAX_PASTED].tolist():
        box, factor = other.boxes[index].tolist(), rng.uniform(0.5, 1.5)
        height = round((box[3] - box[1]) * factor * rows / size[0])
        width = round((box[2] - box[0]) * factor * columns / size[1])
        if not (4 <= height <= rows * _MAX_SIDE and 4 <= width <= columns * _MAX_SIDE):
            continue
        place = _free_place(boxes, (height, width), (rows, columns), rng)
        if place is None:
            continue
        stretch = replace(resize, image_size=(height, width), mode="stretch")
        pixels, _, covers = other.picture.read(needed_scale(box, stretch))
        left, top, right, bottom = place
        image[top:bottom, left:right] = show(pixels, covers, box, stretch, fill)[0]
        boxes = np.concatenate((boxes, np.array([place], dtype=np.float32)))
        labels = np.append(labels, other.labels[index])
    return MixedSample(image, boxes, labels)


def view(
    annotated: Annotated, window: Sequence[float], resize: Resize, fill: FillColor, quarters: int = 0
) -> MixedSample:
    """A window of an image at the input's size, with the boxes whose center it holds, cut to what is shown.

    That is whole pixels of the source, so up to one more at each side than a fractional window. The window
    is turned counterclockwise by ``quarters`` * 90 degrees before it is resized.
    """
    picture, boxes, labels = annotated
    boxes, labels = boxes_in(boxes, labels, window)
    corners = np.array([window])
    scale = needed_scale(turn(corners, picture.size, quarters)[1][0], resize)
    pixels, _, covers = picture.read(scale)
    turned_covers, (turned_window,) = turn(corners, covers, quarters)
    boxes = turn(boxes, covers, quarters)[1]
    turned = np.rot90(pixels, quarters)
    image, landing = show(turned, turned_covers, turned_window.tolist(), resize, fill)
    return MixedSample(image, *clean_boxes(landing(boxes), labels, landing.content))


def _tile_window(
    size: Size, tile: Size, resize: Resize, touches_end: tuple[bool, bool], rng: np.random.Generator
) -> tuple[float, float, float, float]:
    """What a quarter shows; where it is larger than the image, the image touches the mosaic's center."""
    factor, content = rng.uniform(*_SCALE), resize.content_size(size)
    ends = []
    for axis, at_end in ((1, touches_end[0]), (0, touches_end[1])):
        side = tile[axis] * size[axis] / (content[axis] * factor)
        room = size[axis] - side
        low = rng.uniform(0, room) if room > 0 else (room if at_end else 0.0)
        ends.append((low, low + side))
    return ends[0][0], ends[1][0], ends[0][1], ends[1][1]


def _free_place(
    boxes: Boxes, size: Size, room: Size, rng: np.random.Generator
) -> tuple[int, int, int, int] | None:
    """A rectangle xyxy of ``size`` in an image of size ``room`` that hides little of every box."""
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    for _ in range(_PLACES):
        top, left = (int(rng.integers(whole - side + 1)) for whole, side in zip(room, size, strict=True))
        place = left, top, left + size[1], top + size[0]
        sides = np.minimum(boxes[:, 2:], place[2:]) - np.maximum(boxes[:, :2], place[:2])
        if (np.clip(sides, 0, None).prod(axis=1) <= _MAX_COVERED * areas).all():
            return place
    return None
