"""A picture as a person sees it, and as the model takes it: with NumPy and Pillow what OpenCV gives."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from pocketvision.deploy.client.opening import Facts


# <part>
def read_image(source: str | Path | Image.Image | np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 RGB as a person sees it: upright by EXIF, transparency over white."""
    if isinstance(source, np.ndarray):
        return source
    image = source if isinstance(source, Image.Image) else Image.open(source)
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):  # 16 bits: the upper 8
        gray = (np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8)
        return np.repeat(gray[..., None], 3, axis=2)
    if image.has_transparency_data:
        pixels = np.asarray(image.convert("RGBA")).astype(np.uint16)
        color, alpha = pixels[..., :3], pixels[..., 3:]
        return ((color * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
    return np.asarray(image.convert("RGB"))


# <opencv|logits>
def taps(
    length: int, size: int, kind: type[np.floating[Any]] = np.float64
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The two pixels of ``length`` that each of ``size`` lies between, and its way from the first."""
    center = ((np.arange(size, dtype=kind) + kind(0.5)) * kind(length / size) - kind(0.5)).astype(np.float32)
    first = np.floor(center)
    one, two = (np.clip(first + step, 0, length - 1).astype(np.int64) for step in (0, 1))
    return one, two, center - first


# </opencv|logits>
# <opencv>
def bilinear(image: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """Bilinear interpolation without antialiasing, in the integers of OpenCV's INTER_LINEAR."""
    (top, bottom, y), (left, right, x) = (taps(*sides) for sides in zip(image.shape[:2], size, strict=True))
    x, y = np.rint(x * 2048).astype(np.int32)[:, None], np.rint(y * 2048).astype(np.int32)[:, None, None]
    upper, lower = (image[rows][:, left] * (2048 - x) + image[rows][:, right] * x for rows in (top, bottom))
    both = ((upper >> 4) * (2048 - y) >> 16) + ((lower >> 4) * y >> 16)
    return ((both + 2) >> 2).astype(np.uint8)


# </opencv>
# <nearest>
def nearest(image: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """The pixel at the upper left, as OpenCV's INTER_NEAREST takes it."""
    rows, columns = (
        np.minimum((np.arange(to) * (length / to)).astype(np.int64), length - 1)
        for length, to in zip(image.shape[:2], size, strict=True)
    )
    return image[rows][:, columns]


# </nearest>
# <pillow>
def smooth(image: np.ndarray, size: Sequence[int], filter: str) -> np.ndarray:
    """Pillow's interpolation, which averages over what becomes one pixel."""
    height, width = size
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling[filter.upper()]))


# </pillow>
def content_size(resize: Facts, size: Sequence[int]) -> tuple[int, int]:
    """Size of the part of the input that shows an image of ``size``."""
    height, width = resize["image_size"]
    # <letterbox>
    scale = min(height / size[0], width / size[1])
    height, width = (
        min(most, max(1, round(side * scale))) for most, side in zip((height, width), size, strict=True)
    )
    # </letterbox>
    # <crop>
    shares = [round(side / resize["crop_share"]) for side in (height, width)]
    if shares[0] * size[1] >= shares[1] * size[0]:
        return shares[0], shares[0] * size[1] // size[0]
    height, width = shares[1] * size[0] // size[1], shares[1]
    # </crop>
    return height, width


def make_input(image: np.ndarray, resize: Facts) -> np.ndarray:
    """An image (H, W, 3) uint8 RGB of any size -> (3, height, width) of the model's size."""
    size = content_size(resize, image.shape[:2])
    # <opencv>
    small = bilinear(image, size)
    # </opencv>
    # <nearest>
    small = nearest(image, size)
    # </nearest>
    # <pillow>
    small = smooth(image, size, resize["interpolation"])
    # </pillow>
    # <letterbox>
    height, width = resize["image_size"]
    padding = ((0, height - size[0]), (0, width - size[1]), (0, 0))
    small = np.pad(small, padding, constant_values=resize["fill"])
    # </letterbox>
    # <crop>
    height, width = resize["image_size"]
    top, left = round((size[0] - height) / 2), round((size[1] - width) / 2)
    small = small[top : top + height, left : left + width]
    # </crop>
    return np.ascontiguousarray(small.transpose(2, 0, 1))


# </part>
