"""A picture as a person sees it, and as the model takes it: with NumPy and Pillow what OpenCV gives."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from pocketvision.deploy.client.opening import Facts


# <part>
# <rgb>
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


# </rgb>
# <bands>
def read_bands(source: str | Path | Image.Image | np.ndarray, pixels: Facts) -> np.ndarray:
    """(H, W, C) uint8 of the channels and values that the model takes."""
    values = source if isinstance(source, np.ndarray) else file_values(source)
    values = values.reshape(*values.shape[:2], -1)
    channels, limits = pixels["channels"], pixels["value_range"]
    if values.shape[2] == 1 and channels == 3:
        values = np.repeat(values, 3, axis=2)
    elif values.shape[2] == 3 and channels == 1 and (values == values[..., :1]).all():
        values = values[..., :1]
    if values.shape[2] != channels:
        raise ValueError(f"{source} has {values.shape[2]} channels, and the model takes {channels}")
    if limits is None:
        if values.dtype not in (np.uint8, np.uint16):
            raise ValueError(f"{source} has values of the type {values.dtype}, and the model takes uint8")
        return values if values.dtype == np.uint8 else (values >> 8).astype(np.uint8)
    low, high = limits
    if (values.dtype == np.uint8 and high > 255) or not (values.min() >= low and values.max() <= high):
        raise ValueError(f"{source} is no {values.dtype} picture of values from {low} to {high}")
    shares = (values.astype(np.float32) - np.float32(low)) * np.float32(255 / (high - low))
    return np.rint(shares).astype(np.uint8)


def file_values(source: str | Path | Image.Image) -> np.ndarray:
    """The numbers of a .npy, TIFF or other file: of TIFF's gray pages of one size all."""
    if not isinstance(source, Image.Image):
        suffix = Path(source).suffix.lower()
        if suffix == ".npy":
            return np.load(source)
        if suffix in (".tif", ".tiff"):
            import tifffile

            with tifffile.TiffFile(source) as file:
                pages = [page.asarray() for page in file.pages]
                if len(pages) > 1 and pages[0].ndim == 2 and len({(p.shape, p.dtype) for p in pages}) == 1:
                    return np.stack(pages, axis=2)
                is_planar = pages[0].ndim == 3 and file.pages.first.planarconfig == 2
                return np.moveaxis(pages[0], 0, 2) if is_planar else pages[0]
        head = Path(source).read_bytes()[:26]
        if head.startswith(b"\x89PNG") and head[24] == 16 and head[25] in (2, 6):
            raise ValueError(f"{source} is a PNG of 16-bit colors: save it as TIFF or .npy")
        source = Image.open(source)
    image = ImageOps.exif_transpose(source)
    if image.mode.startswith("I;16") or image.mode in ("L", "LA", "RGB", "RGBA", "F", "I"):
        return np.asarray(image)
    return np.asarray(image.convert("RGBA" if image.has_transparency_data else "RGB"))


# </bands>
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
