"""Small JPEG pictures for the report: images with boxes, and images seen through their masks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from pocketvision.core.drawing import PALETTE, draw_boxes, false_color, overlay_mask
from pocketvision.core.errors import InputError
from pocketvision.core.page import jpeg_url
from pocketvision.core.resize import RGB, PixelFormat
from pocketvision.datasets.images.bands import read_pixels
from pocketvision.datasets.images.read import match_mask, read_mask, read_size
from pocketvision.datasets.records.notes import NotedBox
from pocketvision.doctor.findings import Finding
from pocketvision.doctor.report.examination import SampleImage

WIDTH, HEIGHT = 320, 240
_RED = (230, 30, 30)
_FAR = 10_000.0
_JPEG_QUALITY = 78


def picture_of_finding(finding: Finding, pixels: PixelFormat = RGB) -> str | None:
    """A data URL of what a finding shows, or None where there is nothing to see."""
    tiles = [tile for path in finding.images[:2] if (tile := _open(path, pixels)) is not None]
    if not tiles:
        return None
    if finding.boxes:
        tiles[0] = _with_boxes(*tiles[0], finding.boxes)
    elif finding.kind.startswith("mask_") or finding.kind == "crops_all_void":
        tiles[0] = _with_mask(*tiles[0], finding.file, finding.images[0])
    return _data_url([image for image, _ in tiles])


def picture_of_sample(sample: SampleImage, pixels: PixelFormat = RGB) -> str | None:
    """A data URL of an image with its boxes or mask."""
    opened = _open(sample.image, pixels)
    if opened is None:
        return None
    image, scale = opened
    if sample.mask is not None:
        return _data_url([_with_mask(image, scale, sample.mask, sample.image)[0]])
    boxes = np.array([[side * scale for side in box] for box in sample.boxes]).reshape(-1, 4)
    drawn = draw_boxes(np.array(image), boxes, np.array(sample.labels), sample.class_names, font_size=10)
    return _data_url([Image.fromarray(drawn)])


def _open(path: str, pixels: PixelFormat) -> tuple[Image.Image, float] | None:
    """The image in the report's size, in false colors where it has others, and by how much it was scaled."""
    try:
        reading = read_pixels(path, pixels, min(1.0, WIDTH / max(read_size(path))))
    except InputError:  # broken images are findings, which have no picture
        return None
    small = Image.fromarray(false_color(reading.pixels))
    small.thumbnail((WIDTH, HEIGHT))
    return small, small.width / reading.covers[1]


def _with_boxes(image: Image.Image, scale: float, boxes: Sequence[NotedBox]) -> tuple[Image.Image, float]:
    draw = ImageDraw.Draw(image)
    for box in boxes:
        left, top, right, bottom = (max(-_FAR, min(_FAR, side * scale)) for side in box)
        corners = (min(left, right), min(top, bottom), max(left, right), max(top, bottom))
        draw.rectangle(corners, outline=_RED, width=2)
    return image, scale


def _with_mask(image: Image.Image, scale: float, file: str, path: str) -> tuple[Image.Image, float]:
    """The image under the colors of its mask; as it is where the mask can't be read."""
    try:
        mask = match_mask(read_mask(file), path)
    except InputError:  # as above, or colors
        return image, scale
    small = Image.fromarray(mask).resize(image.size, Image.Resampling.NEAREST)
    return Image.fromarray(overlay_mask(np.array(image), np.asarray(small), PALETTE)), scale


def _data_url(images: Sequence[Image.Image]) -> str:
    """Images side by side."""
    canvas = Image.new("RGB", (sum(i.width for i in images), max(i.height for i in images)), "white")
    left = 0
    for image in images:
        canvas.paste(image, (left, 0))
        left += image.width
    return jpeg_url(np.asarray(canvas), _JPEG_QUALITY)
